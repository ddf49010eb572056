import androidx.camera.core.ImageInfo;
import androidx.camera.core.ImageProxy;
import edgevid.EdgevidNetwork;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;

/** Pushes frames of a file (y, u, v of WIDTH x HEIGHT, one after the other) and prints what comes back. */
public class Drive {
    static byte[] pixels;
    static int at = 0;

    static ImageProxy.PlaneProxy plane(int width, int height, int pixelStride) {
        int rowStride = width * pixelStride + 5;  // rows of a camera have gaps
        ByteBuffer buffer = ByteBuffer.allocateDirect(rowStride * height);
        for (int y = 0; y < height; ++y) for (int x = 0; x < width; ++x)
            buffer.put(y * rowStride + x * pixelStride, pixels[at++]);
        return new ImageProxy.PlaneProxy() {
            public int getRowStride() { return rowStride; }
            public int getPixelStride() { return pixelStride; }
            public ByteBuffer getBuffer() { return buffer; }
        };
    }

    public static void main(String[] arguments) throws Exception {
        String manifest = new String(Files.readAllBytes(Paths.get(arguments[0])));
        pixels = Files.readAllBytes(Paths.get(arguments[1]));
        int width = Integer.parseInt(arguments[2]), height = Integer.parseInt(arguments[3]);
        int turn = Integer.parseInt(arguments[4]);
        EdgevidNetwork network = new EdgevidNetwork(manifest, new byte[0], false);
        long time = 0;
        while (at < pixels.length) {
            ImageProxy.PlaneProxy[] planes = {
                plane(width, height, 1), plane(width / 2, height / 2, 2), plane(width / 2, height / 2, 2)
            };
            long now = time;
            time += Long.parseLong(arguments[5]) * 1000000;
            float[] scores = network.push(new ImageProxy() {
                public int getWidth() { return width; }
                public int getHeight() { return height; }
                public PlaneProxy[] getPlanes() { return planes; }
                public ImageInfo getImageInfo() {
                    return new ImageInfo() {
                        public long getTimestamp() { return now; }
                        public int getRotationDegrees() { return turn; }
                    };
                }
                public void close() {}
            });
            if (scores == null) { System.out.println("null"); continue; }
            StringBuilder line = new StringBuilder();
            for (float score : scores) line.append(score).append(' ');
            System.out.println(line);
        }
        network.reset();
        network.close();
    }
}

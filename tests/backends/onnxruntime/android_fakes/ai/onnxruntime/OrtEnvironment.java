package ai.onnxruntime;

import android.system.Os;

public class OrtEnvironment implements AutoCloseable {
    public static OrtEnvironment getEnvironment() {
        if (!"1".equals(Os.getenv("ORT_DISABLE_TELEMETRY"))) {
            throw new IllegalStateException("ONNX Runtime is loaded with its telemetry on");
        }
        return new OrtEnvironment();
    }

    public OrtSession createSession(byte[] model, OrtSession.SessionOptions options) throws OrtException {
        return new OrtSession();
    }

    public void close() {}
}

package ai.onnxruntime;

import java.nio.FloatBuffer;

/** Floats and their shape. */
public class OnnxTensor implements OnnxValue {
    final float[] values;
    final long[] shape;
    boolean closed = false;

    OnnxTensor(float[] values, long[] shape) {
        this.values = values;
        this.shape = shape;
    }

    public static OnnxTensor createTensor(OrtEnvironment environment, FloatBuffer data, long[] shape) throws OrtException {
        float[] values = new float[data.remaining()];
        data.duplicate().get(values);
        long count = 1;
        for (long length : shape) count *= length;
        if (count != values.length) throw new OrtException(values.length + " values do not have the shape");
        return new OnnxTensor(values, shape);
    }

    public FloatBuffer getFloatBuffer() {
        if (closed) throw new IllegalStateException("the tensor is closed");
        return FloatBuffer.wrap(values.clone());
    }

    public void close() {
        if (closed) throw new IllegalStateException("the tensor is closed already");
        closed = true;
    }
}

package ai.onnxruntime;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** A network whose logits are its input, and whose next states are its states plus 1. */
public class OrtSession implements AutoCloseable {
    public static class SessionOptions implements AutoCloseable {
        public void registerCustomOpLibrary(String path) throws OrtException {}

        public void close() {}
    }

    public static class Result implements AutoCloseable {
        final Map<String, OnnxValue> values = new HashMap<>();

        public Optional<OnnxValue> get(String name) {
            return Optional.ofNullable(values.get(name));
        }

        public void close() {
            values.values().forEach(OnnxValue::close);
        }
    }

    public Result run(Map<String, ? extends OnnxTensor> inputs) throws OrtException {
        Result result = new Result();
        for (Map.Entry<String, ? extends OnnxTensor> input : inputs.entrySet()) {
            OnnxTensor tensor = input.getValue();
            if (tensor.closed) throw new IllegalStateException(input.getKey() + " is closed");
            float[] values = tensor.values.clone();
            boolean isState = input.getKey().startsWith("state");
            for (int i = 0; isState && i < values.length; ++i) values[i] += 1;
            String name = isState ? "next_" + input.getKey() : "logits";
            result.values.put(name, new OnnxTensor(values, tensor.shape));
            if (isState) System.err.println(input.getKey() + " " + tensor.values[0] + " of " + values.length);
        }
        return result;
    }

    public void close() {}
}

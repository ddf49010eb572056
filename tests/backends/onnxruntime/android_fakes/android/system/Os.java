package android.system;

import java.util.HashMap;
import java.util.Map;

public final class Os {
    private static final Map<String, String> variables = new HashMap<>();

    public static String getenv(String name) {
        return variables.get(name);
    }

    public static void setenv(String name, String value, boolean overwrite) {
        if (overwrite || !variables.containsKey(name)) variables.put(name, value);
    }
}

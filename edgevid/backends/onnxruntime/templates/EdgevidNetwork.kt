// A network that edgevid exported, on Android: camera frames in, a score for each class out.
package edgevid

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.system.Os
import androidx.camera.core.ImageProxy
import java.nio.FloatBuffer
import org.json.JSONArray
import org.json.JSONObject

/**
 * `manifest` is the text of the bundle's manifest.json, `model` the content of model.kernels.ort, or of model.ort
 * if `withKernels` is false. Not thread-safe: use an object from one thread at a time.
 */
class EdgevidNetwork(manifest: String, model: ByteArray, withKernels: Boolean = true) : AutoCloseable {
    private class State(val input: String, val output: String, val shape: LongArray)

    private val description = JSONObject(manifest)
    private val inputSpec = description.getJSONArray("inputs").getJSONObject(0)
    private val shape = longs(inputSpec.getJSONArray("shape")) // (1, frames, 3, height, width); no frames if streaming
    private val size = shape.last().toInt()
    private val channel = size * size // floats per color channel of a frame
    private val frame = 3 * channel
    private val frames = if (shape.size == 5) shape[1].toInt() else 1
    private val states = objects(description.getJSONArray("states")).map {
        State(it.getString("input"), it.getString("output"), longs(it.getJSONArray("shape")))
    }
    private val window = FloatArray(frames * frame) // the latest frames, normalized, oldest first
    private val intervalNs = if (frames == 1) 0L else 2_000_000_000L / frames // a clip spans two seconds
    private var framesSeen = 0
    private var nextNs = Long.MIN_VALUE
    private val preparation = FramePreparation(description.getJSONObject("preprocessing"), size)

    private val environment = environmentWithoutTelemetry()
    // Open as long as the session: closing the options unloads the kernel library.
    private val options = OrtSession.SessionOptions()
    private val session: OrtSession
    private var memory: Map<String, OnnxTensor> = emptyMap() // the states by the names of their inputs
    private var holder: AutoCloseable = AutoCloseable {} // the owner of the tensors in `memory`

    init {
        if (withKernels) {
            System.loadLibrary("edgevid_kernels") // throws UnsatisfiedLinkError if the app lacks it
            options.registerCustomOpLibrary("libedgevid_kernels.so")
        }
        session = environment.createSession(model, options)
        reset()
    }

    /** The scores after one more camera frame; null before a whole clip, or if the frame comes too soon. */
    fun push(image: ImageProxy): FloatArray? {
        val now = image.imageInfo.timestamp
        if (now < nextNs) return null
        nextNs = now + intervalNs
        window.copyInto(window, 0, frame, window.size)
        preparation.write(image, window, window.size - frame)
        framesSeen = minOf(framesSeen + 1, frames)
        return if (framesSeen == frames) run() else null
    }

    /** Start again, as before the first frame. */
    fun reset() {
        val zeros = states.associate {
            it.input to OnnxTensor.createTensor(environment, FloatBuffer.allocate(it.shape.product()), it.shape)
        }
        remember(zeros, AutoCloseable { zeros.values.forEach(OnnxTensor::close) })
        framesSeen = 0
        nextNs = Long.MIN_VALUE
    }

    override fun close() {
        holder.close()
        session.close()
        options.close()
    }

    private fun run(): FloatArray {
        OnnxTensor.createTensor(environment, FloatBuffer.wrap(window), shape).use { input ->
            val result = session.run(memory + (inputSpec.getString("name") to input))
            remember(states.associate { it.input to tensor(result, it.output) }, result)
            val logits = tensor(result, "logits").floatBuffer
            return FloatArray(logits.remaining()).also { logits.get(it) }
        }
    }

    /** The states are outputs of the last run, fed back without a copy. */
    private fun remember(tensors: Map<String, OnnxTensor>, owner: AutoCloseable) {
        holder.close()
        memory = tensors
        holder = owner
    }

    private fun tensor(result: OrtSession.Result, name: String) = result.get(name).get() as OnnxTensor
}

/** Converts a camera's YUV frame to the network's input: upright, scaled, center-cropped, normalized. */
private class FramePreparation(recipe: JSONObject, private val size: Int) {
    private val shortSide = recipe.getInt("short_side")
    private val mean = floats(recipe.getJSONArray("mean"))
    private val deviation = floats(recipe.getJSONArray("std"))
    private val order = if (recipe.getString("color") == "BGR") intArrayOf(2, 1, 0) else intArrayOf(0, 1, 2)

    /** Writes 3 x size x size floats, red first (blue for BGR), to `target` from `offset` on. */
    fun write(image: ImageProxy, target: FloatArray, offset: Int) {
        val source = YuvImage(image)
        val step = minOf(source.width, source.height).toFloat() / shortSide // camera pixels per output pixel
        val samples = maxOf(1, Math.round(step)) // in each direction; a pixel is their mean
        val left = (source.width - size * step) / 2
        val top = (source.height - size * step) / 2
        val channel = size * size
        for (row in 0 until size) for (column in 0 until size) {
            var y = 0
            var u = 0
            var v = 0
            for (i in 0 until samples) for (j in 0 until samples) {
                source.seek(
                    (left + (column + (j + 0.5f) / samples) * step).toInt(),
                    (top + (row + (i + 0.5f) / samples) * step).toInt()
                )
                y += source.y()
                u += source.u()
                v += source.v()
            }
            val count = samples * samples
            val luma = y.toFloat() / count
            val blue = u.toFloat() / count - 128
            val red = v.toFloat() / count - 128
            // JFIF's conversion (ITU-R BT.601, full range), which Android's YUV_420_888 follows.
            val at = offset + row * size + column
            val colors = floatArrayOf(luma + 1.402f * red, luma - 0.344136f * blue - 0.714136f * red, luma + 1.772f * blue)
            for (place in 0..2) target[at + place * channel] = normalized(colors[order[place]], place)
        }
    }

    private fun normalized(value: Float, color: Int) =
        (minOf(255f, maxOf(0f, value)) / 255 - mean[color]) / deviation[color]
}

/** The pixels, width and height of a camera frame, turned upright. */
private class YuvImage(image: ImageProxy) {
    private val turn = image.imageInfo.rotationDegrees // clockwise rotation that makes it upright
    private val sensorWidth = image.width
    private val sensorHeight = image.height
    private val planes = image.planes
    private val buffers = planes.map { it.buffer }
    private val rowStrides = planes.map { it.rowStride }.toIntArray()
    private val pixelStrides = planes.map { it.pixelStride }.toIntArray()
    private var x = 0 // on the sensor
    private var y = 0

    val width = if (turn % 180 == 0) sensorWidth else sensorHeight
    val height = if (turn % 180 == 0) sensorHeight else sensorWidth

    /** Select the pixel at `column`, `row` of the upright frame, or the nearest one if that is outside. */
    fun seek(column: Int, row: Int) {
        val u = minOf(width - 1, maxOf(0, column))
        val v = minOf(height - 1, maxOf(0, row))
        x = when (turn) { 90 -> v; 180 -> sensorWidth - 1 - u; 270 -> sensorWidth - 1 - v; else -> u }
        y = when (turn) { 90 -> sensorHeight - 1 - u; 180 -> sensorHeight - 1 - v; 270 -> u; else -> v }
    }

    fun y() = value(0, x, y)
    fun u() = value(1, x / 2, y / 2)
    fun v() = value(2, x / 2, y / 2)

    private fun value(plane: Int, column: Int, row: Int) =
        buffers[plane].get(row * rowStrides[plane] + column * pixelStrides[plane]).toInt() and 0xff
}

/** ONNX Runtime reads the variable when it is loaded; a value set by the app stays. */
private fun environmentWithoutTelemetry(): OrtEnvironment {
    Os.setenv("ORT_DISABLE_TELEMETRY", "1", false)
    return OrtEnvironment.getEnvironment()
}

private fun longs(array: JSONArray) = LongArray(array.length()) { array.getLong(it) }

private fun floats(array: JSONArray) = FloatArray(array.length()) { array.getDouble(it).toFloat() }

private fun objects(array: JSONArray) = List(array.length()) { array.getJSONObject(it) }

private fun LongArray.product() = fold(1L) { product, length -> product * length }.toInt()

"""Power and energy of a measured window: sensors, the process that samples them, and what the samples say.

| module | what it holds |
|---|---|
| ``files`` | where sensors are looked for: this machine, a simulated tree, a device elsewhere |
| ``sensor`` | a ``Sensor``: its rails, the rails that add up to a total, its resolution and update interval |
| ``sampler`` | the process that reads a sensor, on a core of its own (standard library only) |
| ``meter_lines`` | the lines of an external meter, for the sampler |
| ``sampling`` | starts that process, and gets its samples |
| ``energy`` | joules between two times, and their uncertainty |
| ``observation`` | the fields of a result, from samples |
| ``probe`` | the probe around a window |
| ``meter`` | the probe of an external meter, from ``csv:PATH``, ``serial:DEVICE`` or ``http://...`` |

``edgevid/host/probes`` finds the sensors.
"""

// Found before NVIDIA's header where a program is compiled for the emulation, as by those of TensorRT.
#pragma once
#include "../host.h"

// For tests of what a real fault of a device does: a launch whose kernel reads memory that is not
// there. The error sticks to the context of the device.
#pragma once

namespace incipit::test {

void launch_broken_kernel(void* stream);

}  // namespace incipit::test

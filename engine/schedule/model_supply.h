// What the engine loop runs on, and where it gets another one from when a device fails.
#pragma once

#include <functional>
#include <memory>

#include "engine/base/result.h"
#include "engine/model/device_fault.h"
#include "engine/model/model.h"
#include "engine/schedule/scheduler.h"

namespace incipit::engine {

// A model, and how its steps are planned.
struct PlannedModel {
  std::unique_ptr<Model> model;
  SchedulerOptions scheduling;  // n_pages is taken from the model
};

// Called on the engine thread after a fault, when the failed model is gone. It blocks for as long
// as loading takes.
using ModelSupply = std::function<Result<PlannedModel>(const DeviceFault& fault)>;

}  // namespace incipit::engine

#pragma once

#include "losses/metrics/statistics.h"  // where it is now; reports and tests know it by this name

#define VAC_TRACED_BODY 1
#define HANDLERS TRACED_HANDLERS
#define ENTER_HANDLER TRACED_ENTER
#define RUN_BODY run_traced
#include "body.h"

#define VAC_TRACED_BODY 0
#define HANDLERS PLAIN_HANDLERS
#define ENTER_HANDLER PLAIN_ENTER
#define RUN_BODY run_plain
#include "body.h"

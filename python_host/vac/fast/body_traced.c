#define VAC_TRACED_BODY 1
#define VAC_LABELLED_BODY 0
#define BODY TRACED_BODY
#include "body.h"

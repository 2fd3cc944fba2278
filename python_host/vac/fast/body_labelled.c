#define VAC_TRACED_BODY 0
#define VAC_LABELLED_BODY 1
#define BODY LABELLED_BODY
#include "body.h"

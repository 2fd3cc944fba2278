#define VAC_TRACED_BODY 1
#define VAC_LABELLED_BODY 1
#define BODY LABELLED_TRACED_BODY
#include "body.h"

#define VAC_TRACED_BODY 0
#define VAC_LABELLED_BODY 0
#define BODY PLAIN_BODY
#include "body.h"

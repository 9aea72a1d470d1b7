/* What all helpers share: fixed-width types, and the version that the loader compares. */
#ifndef HEADWATER_LIBRARY_H
#define HEADWATER_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#endif

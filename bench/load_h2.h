/*
 * load_h2.h - HTTP/2 on a link: so many requests at once as the options say.
 */
#ifndef BENCH_LOAD_H2_H
#define BENCH_LOAD_H2_H

#include "load_link.h"
#include "load_options.h"

/* Borrows opt; the head of its request is read as that of HTTP/1.1. */
const struct link_ops *h2_ops(const struct options *opt);

#endif

#pragma once
/* version -- what `audit-router --version` says and HTTP requests carry. meson.build's project version, by -D. */
#ifndef AUDIT_ROUTER_VERSION
#define AUDIT_ROUTER_VERSION "unversioned"
#endif

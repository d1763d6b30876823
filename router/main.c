#include <stdio.h>

int main(void)
{
	(void)fputs("audit-router: no commands yet\n", stderr);
	return 2;
}

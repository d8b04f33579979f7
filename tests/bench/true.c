/* SPDX-License-Identifier: ISC */
/* The program that is measured with: linked statically, ends at once. */
int main(void)
{
	return 0;
}

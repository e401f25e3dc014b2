// steps: code to be stepped through. Line numbers are found by the comments, never by counting.
#include <stdio.h>

int total;
int table[4] = {1, 2, 3, 4};

__attribute__((noinline)) int inner(int x) {
  int y = x * 2;  // inner: first
  total += y;     // inner: second
  return y;       // inner: return
}

__attribute__((noinline)) int outer(int x) {
  int a = inner(x);      // outer: first call
  int b = inner(x + 1);  // outer: second call
  return a + b;          // outer: return
}

__attribute__((noinline)) int loop(int n) {
  int sum = 0;                       // loop: first
  for (int i = 0; i < n; i++) {      // loop: head
    sum += i & 3;                    // loop: body
  }
  return sum;                        // loop: after
}

__attribute__((noinline)) int factorial(int n) {
  if (n < 2) return 1;               // factorial: base
  return n * factorial(n - 1);       // factorial: recursion
}

int main(void) {
  total = 0;                         // main: first
  int a = outer(10);                 // main: outer
  int b = loop(table[3] * 50);       // main: loop
  int c = factorial(5);              // main: factorial
  printf("%d %d %d %d\n", a, b, c, total);  // main: print
  return 7;                          // main: return
}

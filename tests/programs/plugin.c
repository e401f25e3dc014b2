// plugin [ROUNDS]: loads libm when it is already running, calls into it, and unloads it.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  for (int rounds = argc > 1 ? atoi(argv[1]) : 1; rounds > 0; rounds--) {
    void* library = dlopen("libm.so.6", RTLD_NOW);
    if (!library) return 3;
    double (*cube_root)(double) = (double (*)(double))dlsym(library, "cbrt");
    printf("%.1f %.1f\n", cube_root(27), cube_root(64));
    if (dlclose(library)) return 4;
  }
  return 0;
}

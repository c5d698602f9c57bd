// Included into every file by the build: what the numbers of the whole process depend on.
#ifdef __FAST_MATH__
#error "fast-math deletes the checks for NaN and flushes subnormals in the whole process"
#endif

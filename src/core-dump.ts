import { readFileSync, writeFileSync } from 'node:fs'

/**
 * Keeps the memory of this process, and of all that it starts, out of core dumps, also of those that the kernel pipes to a program and
 * that no limit stops (core(5), coredump_filter). The registers stay in, and can hold some bytes of a password: only `ulimit -c 0`
 * or LimitCORE=0 prevents the whole. Node cannot set limits. Does nothing where the kernel makes no cores.
 */
export function keepMemoryOutOfCores(): void {
  if (process.platform !== 'linux') return
  try {
    writeFileSync('/proc/self/coredump_filter', '0')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}

/** Whether a crash of this process may leave a core file. */
export function mayDumpCore(): boolean {
  return process.platform === 'linux' && !/^Max core file size +0 /m.test(readFileSync('/proc/self/limits', 'utf8'))
}

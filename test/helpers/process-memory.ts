import { readFile } from 'node:fs/promises'

/** What Linux tells of a process's memory (proc_pid_status(5)): resident now, or at its highest. */
export async function memoryBytes(pid: number | undefined, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
}

import { readFile } from 'node:fs/promises'

/** Clock ticks in a second, as Linux has them for user space on every architecture. */
const TICKS = 100

/** User and system time that a process has spent so far; undefined when it has ended. */
export async function cpuSeconds(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  // proc(5): the 14th and 15th field; the second may hold spaces and ends with the last `)`.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

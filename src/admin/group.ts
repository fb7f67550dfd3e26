import { readFile } from 'node:fs/promises'
import { RegcreddError } from '../errors.ts'

/** Number of a group, by its name in /etc/group or given as a number. Throws LISTEN_FAILED. */
export async function findGroupId(group: string): Promise<number> {
  if (/^\d{1,9}$/.test(group)) return Number(group)
  const lines = (await readFile('/etc/group', 'utf8')).split('\n')
  const id = lines.map((line) => line.split(':')).find(([name]) => name === group)?.[2]
  if (id === undefined || !/^\d+$/.test(id)) {
    throw new RegcreddError(
      'LISTEN_FAILED',
      `there is no group ${group} in /etc/group; make it (groupadd --system ${group}), or set admin.group to another one or to a number`,
    )
  }
  return Number(id)
}

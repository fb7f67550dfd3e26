import { readdir, readFile } from 'node:fs/promises'

/** Ids of the processes whose home or folder for temporary files lies in `folder`, without this one; none where there is no /proc. */
export async function processesOf(folder: string): Promise<number[]> {
  const starts = [`TMPDIR=${folder}`, `HOME=${folder}`]
  const ids = (await readdir('/proc').catch(() => [])).map(Number).filter((id) => id > 0 && id !== process.pid)
  const found = await Promise.all(
    ids.map(async (id) => {
      // Of another user, or gone by now.
      const environment = await readFile(`/proc/${id}/environ`, 'utf8').catch(() => '')
      return environment.split('\0').some((entry) => starts.some((start) => entry.startsWith(start))) ? [id] : []
    }),
  )
  return found.flat()
}

/** Mount points in `folder`. */
export async function mountsIn(folder: string): Promise<string[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8').catch(() => '')
  return mounts.split('\n').flatMap((line) => (line.split(' ')[1]?.startsWith(folder) ? [line] : []))
}

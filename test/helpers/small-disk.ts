/** For tests of a full disk: what runs behind `inMountNamespace` may mount one, and it is gone with the process, whatever happens. */
import { spawnSync } from 'node:child_process'

export const inMountNamespace = [
  'unshare',
  '--mount',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
]

/** The words of a command that mounts a disk of 256 KiB, but for its place. */
export const mountSmallDisk = ['mount', '-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs']

/** As skipWithout: in CI it throws instead. */
export function skipWithoutSmallDisk(): false | string {
  const [command = '', ...args] = [...inMountNamespace, ...mountSmallDisk, '/mnt']
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return false
  const reason = `no disk can be mounted here, which needs root or unprivileged user namespaces, and no plain chroot: ${String(stderr).trim()}`
  if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)
  return reason
}

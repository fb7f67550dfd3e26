import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { mainPath } from '../cli/regcredd.ts'
import type { Daemon } from '../helpers/daemon.ts'
import { findTool } from '../helpers/tools.ts'

/** A folder in which the commands that the demo shows can be run as they stand. */
export type Workbench = {
  folder: string
  /** Runs a command line of the demo; resolves whatever its code. */
  run(command: string): Promise<{ code: number | null; stdout: string; stderr: string }>
  /** A file that only its owner reads, for what must not stand on a command line. */
  writeSecret(name: string, content: string): Promise<void>
  /** A command of a shell script's lines. */
  addCommand(name: string, lines: string[]): Promise<void>
}

export async function openWorkbench(folder: string): Promise<Workbench> {
  const bin = join(folder, 'bin')
  await mkdir(bin)
  return {
    folder,
    async run(command) {
      const curl = findTool('curl')
      const env = 'missing' in curl ? process.env : curl.env
      const child = spawn('sh', ['-c', command], {
        cwd: folder,
        env: { ...env, PATH: [bin, env['PATH']].join(delimiter) },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      return { code, stdout: stdout.trim(), stderr: stderr.trim() }
    },
    writeSecret: (name, content) => writeFile(join(folder, name), content, { mode: 0o600 }),
    async addCommand(name, lines) {
      const path = join(bin, name)
      await writeFile(path, `#!/bin/sh\n${lines.join('\n')}\n`)
      await chmod(path, 0o755)
    },
  }
}

/** Makes `regcredd` and `admin.sock` those of this daemon. */
export async function addDaemon(workbench: Workbench, daemon: Daemon): Promise<void> {
  await symlink(daemon.socket, join(workbench.folder, 'admin.sock'))
  await symlink(join(daemon.folder, 'log/audit.jsonl'), join(workbench.folder, 'audit.jsonl'))
  await workbench.addCommand('regcredd', [
    `export REGCREDD_SOCKET=${quote(daemon.socket)} REGCREDD_CONFIG=${quote(daemon.configFile)}`,
    `exec ${quote(process.execPath)} --disable-warning=DEP0060 ${quote(mainPath)} "$@"`,
  ])
}

export function quote(argument: string): string {
  return `'${argument.replaceAll("'", "'\\''")}'`
}

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { withCallerToken } from '../../src/install/caller-token.ts'
import type { Client, Setting } from '../../src/install/client-plan.ts'
import { planClient } from '../../src/install/plan-client.ts'
import type { Secret } from '../../src/secret.ts'
import { needTool } from '../helpers/tools.ts'

/** A real client whose configuration is what `regcredd clients show` prints. */
export type Puller = {
  /** Pulls `HOST/REPOSITORY:TAG` and gives the digests under which the client then has it; rejects with the client's words. */
  pull: (ref: string) => Promise<string[]>
  close: () => Promise<void>
}

/** What the node of a puller is like. */
export type Node = {
  setting: Setting
  token: Secret
  /** A folder with `ca.crt`, `client.cert` and `client.key`, where the daemon speaks TLS. */
  certificates?: string
}

/** One row of the tests: what it needs, and how it starts. Storing an image for a runtime needs root. */
export type PullerKind = {
  name: string
  tools: string[]
  user: 'root' | 'any'
  start: (node: Node) => Promise<Puller>
}

export type Ran = { code: number; stdout: string; stderr: string }

/** Writes the planned files of a client below `root`, as they would lie below `/`, with the token and the certificates in their places. */
export async function placeFiles(
  client: Client,
  { setting, token, certificates = '' }: Node,
  root: string,
): Promise<(path: string) => string> {
  const { files, ownFiles } = planClient(client, setting)
  for (const { path } of ownFiles) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await symlink(join(certificates, basename(path)), join(root, path))
  }
  for (const { path, mode, text } of files) {
    const placed = join(root, path)
    await mkdir(dirname(placed), { recursive: true })
    const here = ownFiles.reduce((all, own) => all.replaceAll(own.path, join(root, own.path)), text)
    await writeFile(placed, withCallerToken(here, token), { mode: Number.parseInt(mode, 8) })
  }
  return (path) => join(root, path)
}

export async function newFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-client-'))
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** Runs a real tool; never rejects for the tool's own failures. */
export function runTool(name: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const tool = needTool(name)
  return new Promise((resolve) => {
    const options = { env: { ...tool.env, ...env }, timeout: 240_000, maxBuffer: 2 ** 24 }
    execFile(tool.command, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
}

export async function mustRun(name: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { code, stdout, stderr } = await runTool(name, args, env)
  if (code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${code}: ${stderr.trim()} ${stdout.trim()}`)
  return stdout
}

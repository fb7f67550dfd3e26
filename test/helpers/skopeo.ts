import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Login } from './docker-registry.ts'
import { needTool } from './tools.ts'

export type SkopeoResult = { code: number; stdout: string; stderr: string }

export type SkopeoOptions = {
  /** A PEM text that skopeo shall trust; without one it speaks http. */
  ca?: string | undefined
  login?: Login | undefined
}

type Inspected = { Digest: string; Layers: string[] }

/**
 * Runs `skopeo VERB … FLAGS ARGS` against one registry. The login goes through an auth file of mode 0600, never argv;
 * nothing of the user's own containers configuration counts. Never rejects for skopeo's own failures: see `code`.
 */
export async function skopeo(
  verb: 'inspect' | 'copy',
  host: string,
  args: string[],
  options: SkopeoOptions = {},
): Promise<SkopeoResult> {
  const tool = needTool('skopeo')
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-skopeo-'))
  try {
    const files = await configurationIn(dir, host, options)
    const flags = verb === 'copy' ? copyFlags(args, options, files.certDir) : inspectFlags(options, files.certDir)
    const argv = [
      '--policy',
      files.policy,
      '--registries-conf',
      files.registries,
      verb,
      '--authfile',
      files.auth,
      ...flags,
      ...args,
    ]
    return await new Promise((resolve) => {
      execFile(tool.command, argv, { env: tool.env, timeout: 240_000, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
      })
    })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** The digest and layers of `HOST/REPOSITORY:TAG`; rejects with skopeo's words. HOST may carry the daemon's path prefix. */
export async function skopeoInspect(reference: string, options: SkopeoOptions = {}): Promise<Inspected> {
  const { code, stdout, stderr } = await skopeo('inspect', hostOf(reference), [`docker://${reference}`], options)
  if (code !== 0) throw new Error(`skopeo inspect ${reference} ended with ${code}: ${stderr.trim()}`)
  return JSON.parse(stdout) as Inspected
}

/** Copies an image between `docker://…`, `oci:DIR:TAG` and `dir:DIR`, its digest unchanged; rejects with skopeo's words. */
export async function skopeoCopy(from: string, to: string, options: SkopeoOptions = {}): Promise<void> {
  const remote = [from, to].find((one) => one.startsWith('docker://')) ?? ''
  const { code, stderr } = await skopeo('copy', hostOf(remote.replace('docker://', '')), [from, to], options)
  if (code !== 0) throw new Error(`skopeo copy ${from} ${to} ended with ${code}: ${stderr.trim()}`)
}

function hostOf(reference: string): string {
  return reference.split('/')[0] ?? ''
}

function inspectFlags({ ca }: SkopeoOptions, certDir: string): string[] {
  return ca === undefined ? ['--tls-verify=false'] : ['--cert-dir', certDir]
}

function copyFlags(args: string[], { ca }: SkopeoOptions, certDir: string): string[] {
  const sides = ['src', 'dest'].filter((_, index) => args[index]?.startsWith('docker://'))
  const trust = sides.flatMap((side) =>
    ca === undefined ? [`--${side}-tls-verify=false`] : [`--${side}-cert-dir`, certDir],
  )
  return ['--quiet', '--preserve-digests', ...trust]
}

async function configurationIn(dir: string, host: string, { ca, login }: SkopeoOptions) {
  const files = {
    policy: join(dir, 'policy.json'),
    registries: join(dir, 'registries.conf'),
    auth: join(dir, 'auth.json'),
    certDir: dir,
  }
  await writeFile(files.policy, '{"default":[{"type":"insecureAcceptAnything"}]}')
  await writeFile(files.registries, '')
  const auth = login && Buffer.from(`${login.username}:${login.password}`).toString('base64')
  await writeFile(files.auth, JSON.stringify({ auths: auth ? { [host]: { auth } } : {} }), { mode: 0o600 })
  if (ca !== undefined) await writeFile(join(dir, 'ca.crt'), ca)
  return files
}

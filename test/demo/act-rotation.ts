import assert from 'node:assert/strict'
import { eventually } from '../helpers/eventually.ts'
import { startLoad } from './load.ts'
import { HOST } from './registry.ts'
import type { Scene, Stand } from './scene.ts'

type Rotation = { id: string; state: string; version: string; code: string | null }

const COMMITTED_WITHIN_MS = 60_000

/** A new password, with pulls going on all the while; then one that the registry never takes. */
export async function showRotation(scene: Scene, stand: Stand): Promise<void> {
  const { screen, passwords, workbench, signal } = scene
  const { registry, puller, daemon, digest } = stand
  screen.heading('4. A new password, while pulls go on')
  const load = startLoad(puller.title, puller.pull, digest, signal)
  const until = (what: string, holds: () => boolean | Promise<boolean>) =>
    eventually(
      what,
      () => {
        signal.throwIfAborted()
        return holds()
      },
      COMMITTED_WITHIN_MS,
    )
  try {
    await workbench.writeSecret('summer.json', JSON.stringify({ password: passwords.second }))
    screen.note('The new password is in summer.json, so that it stands on no command line.')
    let started: Rotation | undefined
    await post(scene, daemon, 'summer.json', [], (rotation) => {
      started = rotation
      assert.equal(rotation.state, 'STAGED')
      return `staged as ${rotation.version}; the registry does not know it yet, so the old one stays in force`
    })
    await screen.step('pulls go on with the old password', async () => {
      const before = load.count()
      await until('five more pulls', () => load.count() >= before + 5)
      assert.equal(await registry.statusFor(passwords.second), 401)
      return 'pulls go on with the old password'
    })
    await screen.step('the password changes at the registry', async () => {
      await registry.setPassword(passwords.second)
      assert.equal(await registry.statusFor(passwords.first), 401)
      return 'the registry’s administrator changes it there: from now on the old one is refused with 401'
    })
    await screen.step('waiting for the commit', async () => {
      let rotation: Rotation | undefined
      await until('the rotation commits', async () => {
        rotation = (await daemon.rest('GET', `/v1/rotations/${started?.id}`)).body as Rotation
        return rotation.state === 'GRACE'
      })
      return `the registry accepts it: ${rotation?.version} is in force`
    })
    await screen.step('counting pulls', async () => {
      const before = load.count()
      await until('five more pulls', () => load.count() >= before + 5)
      const { pulls, failures } = await load.end()
      assert.deepEqual(failures, [], `${failures.length} of ${pulls} pulls failed`)
      return `${pulls} pulls by ${puller.title} meanwhile, each of every byte: 0 failed`
    })
  } finally {
    await load.end()
  }
  await workbench.writeSecret('typo.json', JSON.stringify({ password: passwords.mistyped, deadlineSeconds: 0 }))
  await post(scene, daemon, 'typo.json', ["-H 'Prefer: wait=20'"], ({ state, code, version }) => {
    assert.deepEqual([state, code], ['ABORTED', 'CREDENTIAL_REFUSED'])
    return `a mistyped password never comes into force: ${version} is ABORTED, ${code}`
  })
  await screen.step('pulling once more', async () => {
    assert.equal(await puller.pull(), digest)
    return 'and the right one still is: the next pull succeeds'
  })
}

/** Posts a rotation by curl, as an operator would; shows the command, and what `describe` makes of the answer. */
async function post(
  { screen, parts, workbench }: Scene,
  daemon: Stand['daemon'],
  file: string,
  headers: string[],
  describe: (rotation: Rotation) => string,
): Promise<void> {
  const path = `/v1/registries/${HOST}/rotations`
  const command = [
    "curl -sS --unix-socket admin.sock -H 'Regcredd-Actor: ops' -H 'Content-Type: application/json' \\",
    [...headers, `-d @${file}`, `http://localhost${path}`].join(' '),
  ].join('\n')
  screen.command(command)
  if (parts.curl) screen.skipped(`the demo itself sends this, as there is no curl (${parts.curl})`)
  await screen.step('posting the new password', async () => {
    const said = parts.curl
      ? await workbench.run(`cat ${file}`).then(async ({ stdout }) => {
          const wait = headers.length === 0 ? {} : { prefer: 'wait=20' }
          return (await daemon.rest('POST', path, JSON.parse(stdout), { 'regcredd-actor': 'ops', ...wait })).body
        })
      : JSON.parse(await curl(workbench, command))
    return describe(said as Rotation)
  })
}

async function curl(workbench: Scene['workbench'], command: string): Promise<string> {
  const { code, stdout, stderr } = await workbench.run(command)
  assert.equal(code, 0, stderr)
  return stdout
}

import assert from 'node:assert/strict'
import type { RegcredSecret } from './cluster.ts'
import { HOST, USERNAME } from './registry.ts'
import { type Mirrored, masked, type Scene } from './scene.ts'

const HOW = 'npm run demo -- --kubernetes builds one (6 minutes, once), --kubeconfig PATH uses yours'

/** The pull secret of a namespace, before and after the rotation. */
export async function showMirror(scene: Scene, { before, after }: Mirrored): Promise<void> {
  const { screen, passwords } = scene
  screen.heading('5. The pull secret in Kubernetes')
  const cluster = await scene.cluster
  if (cluster === undefined) {
    screen.skipped(`no Kubernetes API is at hand; ${HOW}`)
    return
  }
  await screen.step('comparing the Secret before and after', async () => {
    assert.ok(before !== undefined && after !== undefined, 'there is no Secret regcred')
    assert.equal(after.type, 'kubernetes.io/dockerconfigjson')
    assert.deepEqual([before, after].map(passwordIn), [passwords.first, passwords.second])
    assert.equal(after.uid, before.uid, 'the Secret was made anew')
    return `the Secret regcred in namespace ${cluster.namespace} has followed the rotation, written in place`
  })
  screen.note(`The daemon has ${cluster.rights}.`)
  screen.command(
    `kubectl -n ${cluster.namespace} get secret regcred -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d`,
  )
  screen.table(
    ['DECODED', 'BEFORE', 'AFTER'],
    [
      ['server', HOST, HOST],
      ['username', ...[before, after].map((secret) => entryOf(secret).username)],
      ['password', ...[before, after].map((secret) => masked(passwordIn(secret)))],
      ['auth', ...[before, after].map((secret) => `${entryOf(secret).auth.slice(0, 4)}${'•'.repeat(8)}`)],
      ['resourceVersion', before?.resourceVersion ?? '-', after?.resourceVersion ?? '-'],
    ],
  )
  screen.note('Passwords are masked here only: a Secret holds them for whoever may read it.')
}

/** The Secret once it holds this password. */
export async function readMirror(scene: Scene, password: string): Promise<RegcredSecret | undefined> {
  const cluster = await scene.cluster
  if (cluster === undefined) return undefined
  const deadline = Date.now() + 60_000
  let found: RegcredSecret | undefined
  while (Date.now() < deadline) {
    scene.signal.throwIfAborted()
    found = await cluster.readSecret()
    if (found !== undefined && passwordIn(found) === password) return found
  }
  throw new Error('the Secret regcred does not hold the password that is in force')
}

function entryOf(secret: RegcredSecret | undefined) {
  const entry = secret?.auths[HOST]
  assert.ok(entry !== undefined, `the Secret has no entry for ${HOST}`)
  assert.equal(entry.username, USERNAME)
  return entry
}

function passwordIn(secret: RegcredSecret | undefined): string {
  return entryOf(secret).password
}

import assert from 'node:assert/strict'
import { appendFile, chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { scanJournal } from '../../src/rotation/journal-line.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { startFakeRegistry } from '../helpers/fake-registry.ts'
import { inMountNamespace, mountSmallDisk, skipWithoutSmallDisk } from '../helpers/small-disk.ts'

const NAME = 'registry.corp.example'
const PATH = `/v1/registries/${NAME}/rotations`

type Hooked = { daemon: Daemon; registry: Awaited<ReturnType<typeof startFakeRegistry>>; sets: () => Promise<string> }

/** A whole daemon whose hook is a shell script: it has its JSON in `$input`, and what it writes to `$0.set` is what the registry takes. */
async function startHooked(
  t: TestContext,
  script: string,
  options: Partial<Parameters<typeof startDaemon>[0]> = {},
): Promise<Hooked> {
  const registry = await startFakeRegistry({ auth: 'bearer', password: 'first password' })
  t.after(() => registry.close())
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-hook-'))
  t.after(() => rm(folder, { recursive: true }))
  const hook = join(folder, 'hook')
  await writeFile(hook, `#!/bin/sh\ninput=$(cat)\n${script}\n`)
  await chmod(hook, 0o700)
  const daemon = await startDaemon({
    registries: [
      {
        host: NAME,
        upstream: registry.origin.origin,
        canary: 'team/canary',
        rotation: { hook: { command: [hook, registry.origin.origin], timeoutMs: 60_000 } },
      },
    ],
    ...options,
  })
  t.after(() => daemon.close())
  await logIn(daemon, NAME, { password: 'first password' })
  return { daemon, registry, sets: () => readFile(`${hook}.set`, 'utf8') }
}

/** The registry takes what the hook has left for it, once: a password that is set ends all tokens. Gives what it has taken last. */
function takeFrom(t: TestContext, { registry, sets }: Hooked): () => string | undefined {
  let taken: string | undefined
  const take = (password: string) => {
    if (password === taken) return
    registry.setPassword(password)
    taken = password
  }
  const timer = setInterval(() => void sets().then(take, () => undefined), 20)
  t.after(() => clearInterval(timer))
  return () => taken
}

const SET = `printf %s "$input" | sed 's/.*"newSecret":"\\([^"]*\\)".*/\\1/' | tr -d '\\n' > "$0.new" && mv "$0.new" "$0.set"`

test('a generated password goes through the hook into force, by the command line, and is nowhere to be read', async (t) => {
  const hooked = await startHooked(t, `${SET}\nprintf '%s\\n' "$input" "note: $input" >&2; sleep 0.2`)
  takeFrom(t, hooked)
  const { code, stdout, stderr } = await hooked.daemon.cli(['rotate', NAME, '--generate', '--json'])
  assert.equal(code, 0, stderr)
  assert.equal(JSON.parse(stdout).state, 'GRACE')
  for (const state of ['STAGED', 'APPLIED', 'VERIFIED', 'COMMITTED', 'MIRRORED', 'GRACE'])
    assert.match(stderr, new RegExp(`^${state}`, 'm'))
  const secret = await hooked.sets()
  assert.equal(secret.length, 40)
  const journal = await readFile(join(hooked.daemon.folder, 'state/rotation.journal'), 'utf8')
  const audit = JSON.stringify(await hooked.daemon.audit())
  for (const [where, text] of Object.entries({ stdout, stderr, journal, audit, log: hooked.daemon.log() })) {
    for (const piece of [secret, secret.slice(0, 12), Buffer.from(secret).toString('base64')]) {
      assert.ok(!text.includes(piece), `the secret stands in ${where}`)
    }
  }
  assert.match(hooked.daemon.log(), /its note is withheld/)
})

test('a daemon that is killed in the middle of its hook finds out what the hook has done, and goes on', async (t) => {
  const hooked = await startHooked(t, `${SET}\ntouch "$0.run"; sleep 60`)
  const taken = takeFrom(t, hooked)
  const { body } = await hooked.daemon.rest('POST', PATH, { generate: {} })
  await eventually('the hook has done its work', taken, 30_000)
  await hooked.daemon.kill()
  await hooked.daemon.start()
  const state = await eventually(
    'the next start commits it',
    async () => {
      const found = await hooked.daemon.rest('GET', `/v1/rotations/${body.id}`)
      return found.body.state === 'GRACE' && found.body.state
    },
    30_000,
  )
  assert.equal(state, 'GRACE')
  assert.match(hooked.daemon.log(), /it was ended in the middle of: apply/)
})

const MOUNT = `mkdir "$HOME/journal" && ${mountSmallDisk.join(' ')} "$HOME/journal" && exec "$@"`

test('on a full disk no rotation begins, one that is under way waits, pulls and logins go on, and room heals it', {
  skip: skipWithoutSmallDisk(),
}, async (t) => {
  const hooked = await startHooked(t, 'exit 77', {
    config: { rotation: { journal: '/proc/self/cwd/journal/rotation.journal' } },
    wrap: [...inMountNamespace, 'sh', '-c', MOUNT, 'sh'],
  })
  const { daemon, registry } = hooked
  const folder = join(`/proc/${daemon.pid}/root`, daemon.folder, 'journal')
  const fill = async () => {
    for (const sizeBytes of [4_096, 512, 64, 1]) {
      const piece = Buffer.alloc(sizeBytes)
      for (let turn = 0; turn < 5_000; turn += 1) {
        const isFull = await writeFile(join(folder, 'ballast'), piece, { flag: 'a' }).then(
          () => false,
          () => true,
        )
        if (isFull) break
      }
    }
  }
  // A file has its pages whole: only what needs another page meets the full disk.
  for (let turn = 0; turn < 40; turn += 1) {
    const { size } = await stat(join(folder, 'rotation.journal')).catch(() => ({ size: 0 }))
    if (size % 4_096 > 3_000) break
    const { body } = await daemon.rest('POST', PATH, { password: 'unwanted' })
    await daemon.rest('POST', `/v1/rotations/${body.id}/abort`)
  }
  const begun = await daemon.rest('POST', PATH, { password: 'second password' })
  assert.equal(begun.status, 202)
  await fill()
  registry.setPassword('second password')
  await eventually('it is told', () => /JOURNAL_UNAVAILABLE/.test(daemon.log()), 30_000)
  assert.notEqual((await daemon.rest('GET', `/v1/rotations/${begun.body.id}`)).body.state, 'COMMITTED')
  await writeFile(join(folder, 'ballast'), '')
  await eventually(
    'with room it is committed',
    async () => (await daemon.rest('GET', `/v1/rotations/${begun.body.id}`)).body.state === 'GRACE',
    30_000,
  )
  await fill()
  const refused = await eventually(
    'the last page is full',
    async () => {
      const answer = await daemon.rest('POST', PATH, { password: 'third password', deadlineSeconds: 0 })
      return answer.status === 503 && answer
    },
    30_000,
  )
  assert.equal(refused.body.code, 'JOURNAL_UNAVAILABLE')
  const { body } = await daemon.rest('GET', `/v1/registries/${NAME}`)
  assert.equal(body.credential.pending, false)
  const scanned = scanJournal(await readFile(join(folder, 'rotation.journal')))
  assert.deepEqual([scanned.tornBytes, scanned.damaged], [0, 0])
})

test('the end of a password that was told at the login, and a rotation that is stuck, are warned of in status, readyz and metrics', async (t) => {
  const { daemon, registry } = await startHooked(t, 'exit 77')
  const expiresAt = new Date(Date.now() + 3 * 86_400_000).toISOString()
  const login = ['login', NAME, '--username', 'ci', '--password-stdin', '--expires-at', expiresAt]
  assert.equal((await daemon.cli(login, { stdin: 'first password' })).code, 0)
  const said = async () => {
    const ready = await fetch(`${daemon.health}/readyz`)
    const status = JSON.parse((await daemon.cli(['status', '--json'])).stdout)
    const metrics = await (await fetch(`${daemon.health}/metrics`)).text()
    return { code: ready.status, ready: await ready.text(), status, metrics }
  }
  const soon = await said()
  assert.equal(soon.code, 200, 'a warning is no fault')
  assert.match(soon.ready, new RegExp(`warning: the password of ${NAME} \\(v2\\) ends at ${expiresAt}`))
  assert.deepEqual(soon.status.attention, [{ kind: 'expires', registry: NAME, version: 'v2', expiresAt }])
  assert.match(
    soon.metrics,
    new RegExp(
      `regcredd_credential_expires_timestamp_seconds\\{registry="${NAME}"\\} ${Math.floor(Date.parse(expiresAt) / 1_000)}`,
    ),
  )
  assert.match(soon.metrics, new RegExp(`regcredd_rotation_stuck\\{registry="${NAME}"\\} 0`))

  registry.setPassword('a third password')
  const rotated = await daemon.cli(['rotate', NAME, '--password-stdin', '--deadline', '0'], {
    stdin: 'second password',
  })
  assert.equal(rotated.code, 2, rotated.stderr)
  // Counted once it stands in the audit, which is after its item says it.
  const stuck = await eventually('it is counted', async () => {
    const now = await said()
    return now.metrics.includes('state="STUCK"} 1') && now
  })
  assert.match(stuck.ready, /warning: rotation \S+ of \S+ is stuck since .*\(NO_VERSION_WORKS\)/)
  assert.match(stuck.metrics, new RegExp(`regcredd_rotation_stuck\\{registry="${NAME}"\\} 1`))
  assert.match(stuck.metrics, new RegExp(`regcredd_rotations_total\\{registry="${NAME}",state="STUCK"\\} 1`))
})

test('a dry run counts the pulls of the last seven days with this credential', async (t) => {
  const { daemon } = await startHooked(t, 'exit 77')
  const file = join(daemon.folder, 'log/audit.jsonl')
  const before = (await daemon.rest('POST', `${PATH}?dryRun=true`, { generate: {} })).body
  assert.deepEqual([before.pulls, before.refusals], [{ count: 0, days: 7 }, []])
  const [last] = (await daemon.audit()).slice(-1)
  const pull = (more: object) =>
    JSON.stringify({
      seq: (last?.seq ?? 0) + 1,
      time: new Date().toISOString(),
      node: 'n',
      type: 'pull.end',
      kind: 'manifest',
      status: 200,
      credential: NAME,
      ...more,
    })
  const others = [
    { kind: 'blob' },
    { status: 404 },
    { credential: 'other.example' },
    { time: new Date(Date.now() - 8 * 86_400_000).toISOString() },
  ]
  await appendFile(file, `${[{}, {}, {}, ...others].map(pull).join('\n')}\n`)
  const { body } = await daemon.rest('POST', `${PATH}?dryRun=true`, { generate: {} })
  assert.deepEqual(body.pulls, { count: 3, days: 7 })
})

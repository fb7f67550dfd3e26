import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Daemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { ask } from '../helpers/proxy.ts'
import { NAME, PASSWORD, startPair } from './pair.ts'

const ROUNDS = 10
const LONGEST_LIFE_MS = 50
/** No login is taken meanwhile. */
const ACTIVE = ['STAGED', 'APPLIED', 'VERIFIED']
const PATH = `/v1/registries/${NAME}`

type Trial = { password: string; by: 'login' | 'rotation'; acknowledged: boolean; id: string | undefined }

/** One act, cut off at a random moment; a dead daemon answers nothing. */
async function actAndKill(daemon: Daemon, trial: Trial): Promise<void> {
  const { password } = trial
  const act =
    trial.by === 'login'
      ? daemon.rest('PUT', `${PATH}/credential`, { username: 'ci', password })
      : daemon.rest('POST', `${PATH}/rotations`, { password, deadlineSeconds: 60 })
  const answered = act.then(
    ({ status, body }) => {
      trial.acknowledged = status < 300
      trial.id = body.id
    },
    () => undefined,
  )
  await sleep((randomBytes(1).readUInt8() / 255) * LONGEST_LIFE_MS)
  await daemon.kill()
  await answered
}

test(`in ${ROUNDS} kills at random times during logins and rotations no acknowledged credential is lost, and some version always opens the registry`, async (t) => {
  const { daemon, registry, port, manifest, token } = await startPair(t)
  const tally = { acknowledged: 0, unanswered: 0 }
  let inForce = PASSWORD
  for (let round = 0; round < ROUNDS; round += 1) {
    const trial: Trial = {
      password: `password-${round}-${randomBytes(4).toString('hex')}`,
      by: round % 2 === 0 ? 'login' : 'rotation',
      acknowledged: false,
      id: undefined,
    }
    // As with Harbor and GitLab, a rotation may come before or after the registry's own change.
    const isFirstAtRegistry = round % 3 !== 1
    if (trial.by === 'login' || isFirstAtRegistry) registry.setPassword(trial.password)
    await actAndKill(daemon, trial)
    tally[trial.acknowledged ? 'acknowledged' : 'unanswered'] += 1
    await daemon.start()
    if (trial.acknowledged) {
      registry.setPassword(trial.password)
      const pulled = await ask(port(), manifest, token())
      assert.equal(pulled.status, 200, `round ${round}: what was acknowledged is served: ${pulled.body}`)
      const { id } = trial
      if (id !== undefined) {
        const state = await eventually(
          `round ${round}: the next start commits the rotation`,
          async () => {
            const { body } = await daemon.rest('GET', `/v1/rotations/${id}`)
            return ['COMMITTED', 'MIRRORED', 'GRACE'].includes(body.state) && body.state
          },
          20_000,
        )
        t.diagnostic(`round ${round}: ${state} after the kill`)
      }
      inForce = trial.password
      continue
    }
    // Unanswered: stored or not, but one of the two is there, whole.
    const works: string[] = []
    for (const password of [inForce, trial.password]) {
      registry.setPassword(password)
      if ((await ask(port(), manifest, token())).status === 200) works.push(password)
    }
    assert.notDeepEqual(works, [], `round ${round}: neither the old nor the new version works`)
    for (const rotation of (await daemon.rest('GET', '/v1/rotations')).body.rotations) {
      registry.setPassword(trial.password)
      await eventually(
        `round ${round}: the rotation that was begun is taken up, and comes to its end`,
        async () => !ACTIVE.includes((await daemon.rest('GET', `/v1/rotations/${rotation.id}`)).body.state),
        20_000,
      )
    }
    const left = await daemon.rest('PUT', `${PATH}/credential`, {
      username: 'ci',
      password: trial.password,
      verify: false,
    })
    assert.equal(left.status, 200)
    registry.setPassword(trial.password)
    inForce = trial.password
  }
  t.diagnostic(JSON.stringify(tally))
  const records = await daemon.audit()
  assert.deepEqual(
    records.map(({ seq }) => seq),
    records.map((_, place) => place + 1),
  )
})

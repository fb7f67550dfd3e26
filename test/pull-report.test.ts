import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { startDaemon } from './helpers/daemon.ts'
import { eventually } from './helpers/eventually.ts'

function status(proxy: string, path: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(`http://${proxy}${path}`, { headers }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    sent.on('error', reject)
    sent.end()
  })
}

test('who is refused before his request is a pull stands in the audit, with what he asked for, twenty times a minute', async (context) => {
  const daemon = await startDaemon({ registries: [{ host: 'registry.corp.example' }] })
  context.after(() => daemon.close())
  const path = '/v2/team/app/manifests/1?ns='
  const good = { 'regcredd-token': daemon.callerToken }
  assert.equal(await status(daemon.proxy, `${path}registry.corp.example`, { 'regcredd-token': 'planted-wrong' }), 403)
  assert.equal(await status(daemon.proxy, `${path}another.example`, good), 404)
  assert.equal(await status(daemon.proxy, '/v2/planted-%2e%2e/manifests/1', good), 400)
  assert.equal(await status(daemon.proxy, '/v2/', {}), 401)
  for (let index = 0; index < 30; index += 1) await status(daemon.proxy, `${path}another.example`, good)

  const found = await eventually('the refusals are recorded', async () => {
    const records = (await daemon.audit()).flatMap((record) => (record.type === 'pull.refused' ? [record] : []))
    return records.length >= 20 ? records : undefined
  })
  assert.equal(found.length, 20)
  const [caller, unlisted, malformed] = found.map(({ detail }) => detail)
  assert.deepEqual(
    [caller?.['code'], caller?.['registry'], caller?.['repository'], caller?.['reference']],
    ['CALLER_REFUSED', 'registry.corp.example', 'team/app', '1'],
  )
  assert.deepEqual([unlisted?.['code'], unlisted?.['registry']], ['REGISTRY_UNLISTED', 'another.example'])
  assert.deepEqual([malformed?.['code'], malformed?.['registry']], ['REQUEST_MALFORMED', ''])
  assert.ok(!JSON.stringify(found).includes('planted'), 'what was shown or malformed is repeated')

  await daemon.stop()
  const last = (await daemon.audit()).filter((record) => record.type === 'pull.refused').at(-1)
  assert.equal(last?.type === 'pull.refused' ? last.detail['leftOut'] : undefined, 13)
})

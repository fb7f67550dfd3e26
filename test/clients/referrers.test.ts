import assert from 'node:assert/strict'
import { get } from 'node:http'
import { json } from 'node:stream/consumers'
import { test } from 'node:test'
import { craftArtifact, craftSingle } from '../helpers/crafted-image.ts'
import { startDaemon } from '../helpers/daemon.ts'
import { pushCrafted } from '../helpers/push-crafted.ts'
import { startServer } from '../helpers/server-process.ts'
import { needTool, skipWithout } from '../helpers/tools.ts'

const HOST = 'referrers.corp.example'

test('a registry with the referrers API names the artifacts of an image through the proxy', {
  skip: skipWithout('referrers-registry'),
}, async (context) => {
  const registry = await startServer({
    tool: needTool('referrers-registry'),
    args: [],
    ready: /serving on (http:\/\/127\.0\.0\.1:\d+)/,
  })
  context.after(registry.stop)
  const origin = registry.ready[1] ?? ''
  const single = craftSingle('referred to')
  const artifact = craftArtifact('sbom', single.manifests[0] as (typeof single.manifests)[0])
  const target = { origin, ca: '', authorization: () => '' }
  for (const image of [single, artifact]) await pushCrafted(target, 'team/app', image)
  const daemon = await startDaemon({ registries: [{ host: HOST, upstream: origin }] })
  context.after(() => daemon.close())

  const ask = (subject: string) =>
    new Promise<{ status: number | undefined; body: unknown }>((resolve, reject) => {
      const headers = { 'regcredd-token': daemon.callerToken }
      const path = `/v2/team/app/referrers/${subject}?ns=${HOST}`
      get(`http://${daemon.proxy}${path}`, { headers }, async (answer) => {
        resolve({ status: answer.statusCode, body: await json(answer) })
      }).on('error', reject)
    })
  const { status, body } = await ask(single.digest)
  assert.equal(status, 200)
  const { manifests } = body as { manifests: { digest: string; artifactType?: string }[] }
  assert.deepEqual(
    manifests.map(({ digest }) => digest),
    [artifact.digest],
  )
  const none = await ask(artifact.digest)
  assert.deepEqual([none.status, (none.body as { manifests: unknown[] }).manifests], [200, []])
})

import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import http, { type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { digestOf } from '../test/helpers/crafted-image.ts'
import { needTool } from '../test/helpers/tools.ts'
import type { Measure } from './measure.ts'
import type { PullRig, Way } from './pull-rig.ts'

const run = promisify(execFile)
const PULLS_AT_ONCE = 50

/**
 * A whole image by crane, a fresh process and fresh connections each time, into a folder: seconds. By the daemon one such pull goes before, so
 * that it is measured in use; the client forgets its token and its connections between the two.
 */
export function pullMeasures({ ways, folder }: PullRig): Measure[] {
  return ways.flatMap(({ distance, image, direct, regcredd }) => {
    const key = `pull ${image}, ${distance}, `
    const timed = (name: string, way: Way) => secondsOfPull(way, folder).then((seconds) => ({ [key + name]: seconds }))
    return [
      { label: `${key}direct`, sample: () => timed('direct', direct) },
      {
        label: `${key}regcredd`,
        sample: async () => {
          await secondsOfPull(regcredd, folder)
          return timed('regcredd', regcredd)
        },
      },
    ]
  })
}

async function secondsOfPull({ ref, dockerConfig, caFile }: Way, folder: string): Promise<number> {
  const tool = needTool('crane')
  const into = join(folder, 'pulled')
  const env = { ...tool.env, DOCKER_CONFIG: dockerConfig, SSL_CERT_FILE: caFile }
  const startedAt = performance.now()
  await run(tool.command, ['pull', '--format', 'oci', ref, into], { env, timeout: 60_000 })
  const seconds = (performance.now() - startedAt) / 1000
  await rm(into, { recursive: true })
  return seconds
}

/** Fifty pulls of one image at once, whose repository no one has pulled from before: how often a token is asked for. */
export function burstMeasure({ daemon, near, nearName }: PullRig): Measure {
  let burst = 0
  return {
    label: 'tokens of a cold burst',
    sample: async () => {
      const repository = `team/burst${burst}`
      burst += 1
      await Promise.all(Array.from({ length: PULLS_AT_ONCE }, () => pullOnce(daemon, repository, nearName)))
      const asked = near.tokens.requests.filter(({ url }) => url.searchParams.get('scope')?.includes(`:${repository}:`))
      // Each client for itself would ask once.
      return { 'tokens, burst': asked.length, 'pulls, burst': PULLS_AT_ONCE }
    },
  }
}

/** A manifest and all that it names, by connections of its own, each compared with its digest. */
async function pullOnce(
  { proxy, callerToken }: PullRig['daemon'],
  repository: string,
  registry: string,
): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 3 })
  const get = async (path: string) => {
    const headers = { 'regcredd-token': callerToken, accept: 'application/vnd.oci.image.manifest.v1+json' }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      http
        .get(`http://${proxy}/v2/${repository}/${path}?ns=${registry}`, { agent, headers }, resolve)
        .on('error', reject)
    })
    const body = await buffer(answer)
    if (answer.statusCode !== 200) throw new Error(`${path} gives ${answer.statusCode}: ${body}`)
    return body
  }
  try {
    const { config, layers } = JSON.parse((await get('manifests/1')).toString())
    await Promise.all(
      [config, ...layers].map(async ({ digest }: { digest: string }) => {
        if (digestOf(await get(`blobs/${digest}`)) !== digest) throw new Error(`${digest} came as other content`)
      }),
    )
  } finally {
    agent.destroy()
  }
}

import assert from 'node:assert/strict'
import { get, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { craftArtifact, craftSingle } from '../helpers/crafted-image.ts'
import type { Daemon } from '../helpers/daemon.ts'
import { pushCrafted } from '../helpers/push-crafted.ts'
import { skipWithout } from '../helpers/tools.ts'
import { craneRef, dockerConfigIn } from './crane-puller.ts'
import { mustRun, type Node, newFolder, placeFiles, runTool } from './puller.ts'
import { startHtpasswdRegistry, startNode, type Upstream } from './upstreams.ts'

const HOST = 'three.corp.example:5000'
const tags = ['1', '2', '3', '4', '5']
const single = craftSingle('listed')
const artifact = craftArtifact('sbom', single.manifests[0] as (typeof single.manifests)[0])
const skip = skipWithout('distribution', 'htpasswd', 'openssl', 'crane', 'skopeo')

let upstream: Upstream
let daemon: Daemon
let node: Node

before(async () => {
  if (skip) return
  upstream = await startHtpasswdRegistry(HOST, 'distribution')
  for (const tag of tags) {
    const manifests = single.manifests.map((manifest) => ({ ...manifest, tag }))
    await pushCrafted(upstream.target, 'team/app', { ...single, manifests })
  }
  ;({ daemon, node } = await startNode([upstream]))
})

after(async () => {
  await daemon?.close()
  await upstream?.close()
})

type Answer = {
  status: number
  headers: IncomingHttpHeaders
  body: { tags?: string[]; manifests?: { digest: string }[] }
}

function ask(path: string): Promise<Answer> {
  const headers = { 'regcredd-token': daemon.callerToken, accept: 'application/vnd.oci.image.index.v1+json' }
  return new Promise((resolve, reject) => {
    get(`http://${daemon.proxy}${path}`, { headers }, async (answer) => {
      const [status = 0, said] = [answer.statusCode, await text(answer)]
      resolve({ status, headers: answer.headers, body: status === 200 ? JSON.parse(said) : {} })
    }).on('error', reject)
  })
}

/** Follows `Link` as a client does; gives each page. */
async function pagesOf(first: string): Promise<string[][]> {
  const pages: string[][] = []
  for (let path: string | undefined = first; path !== undefined && pages.length < 10; ) {
    const { headers, body }: Answer = await ask(path)
    pages.push(body.tags ?? [])
    path = /^<([^>]+)>; rel="next"$/.exec(String(headers['link']))?.[1]
  }
  return pages
}

describe('lists of distribution 3', { skip }, () => {
  for (const [how, path] of [
    ['ns', `/v2/team/app/tags/list?n=2&ns=${encodeURIComponent(HOST)}`],
    ['a path prefix', `/v2/${HOST.replace(':', '_')}/team/app/tags/list?n=2`],
  ] as const) {
    test(`every page is found by its Link, with ${how}`, async () => {
      assert.deepEqual(await pagesOf(path), [['1', '2'], ['3', '4'], ['5']])
    })
  }

  test('crane and skopeo list all tags', async (t) => {
    const { folder, remove } = await newFolder()
    t.after(remove)
    const env = { DOCKER_CONFIG: await dockerConfigIn(folder, node) }
    const listed = await mustRun('crane', ['ls', craneRef(`${HOST}/team/app`, node)], env)
    assert.deepEqual(listed.trim().split('\n'), tags)
    const at = await placeFiles('skopeo', node, folder)
    const conf = ['--registries-conf', at('/etc/containers/registries.conf.d/regcredd.conf')]
    const auth = ['--authfile', at('/root/.config/containers/auth.json')]
    // skopeo lists at the very host that it is given, whatever registries.conf says.
    const past = await runTool('skopeo', [...conf, 'list-tags', ...auth, `docker://${HOST}/team/app`])
    assert.match(past.stderr, /three\.corp\.example.*(no such host|lookup|server misbehaving)/)
    const direct = `docker://${craneRef(`${HOST}/team/app`, node)}`
    const said = await mustRun('skopeo', [...conf, 'list-tags', ...auth, '--tls-verify=false', direct])
    assert.deepEqual(JSON.parse(said).Tags, tags)
  })

  test('referrers: no API there, said with 404, so the tag by its schema leads to the artifact', async () => {
    await pushCrafted(upstream.target, 'team/app', artifact)
    const subject = single.digest
    const ns = `ns=${encodeURIComponent(HOST)}`
    assert.equal((await ask(`/v2/team/app/referrers/${subject}?${ns}`)).status, 404)
    const { status, body } = await ask(`/v2/team/app/manifests/${artifact.referrersTag}?${ns}`)
    assert.deepEqual([status, body.manifests?.map(({ digest }) => digest)], [200, [artifact.digest]])
  })
})

import { request as requestPlain } from 'node:http'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { type CraftedImage, digestOf } from './crafted-image.ts'

export type PushTarget = {
  origin: string
  /** PEM text of what to trust; unused with an http: origin. */
  ca: string
  /** The Authorization header for pushing to a repository. */
  authorization: (repository: string) => string
}

/** Pushes to a real registry. Gives the digest that the registry itself names for the tag; throws with its words. */
export async function pushCrafted(target: PushTarget, repository: string, image: CraftedImage): Promise<string> {
  for (const blob of new Map(image.blobs.map((one) => [digestOf(one), one])).values()) {
    const started = await ask(target, repository, 'POST', `/v2/${repository}/blobs/uploads/`)
    const upload = new URL(String(started.headers['location']), target.origin)
    upload.searchParams.set('digest', digestOf(blob))
    const type = 'application/octet-stream'
    await ask(target, repository, 'PUT', `${upload.pathname}${upload.search}`, { type, body: blob })
  }
  let digest = ''
  for (const { mediaType, content, digest: own, tag } of image.manifests) {
    const path = `/v2/${repository}/manifests/${tag ?? own}`
    const { headers } = await ask(target, repository, 'PUT', path, { type: mediaType, body: content })
    digest = String(headers['docker-content-digest'])
  }
  return digest
}

async function ask(
  { origin, ca, authorization }: PushTarget,
  repository: string,
  method: string,
  path: string,
  content?: { type: string; body: Buffer },
): Promise<{ headers: NodeJS.Dict<string | string[]> }> {
  const headers = { authorization: authorization(repository), 'content-length': content?.body.length ?? 0 }
  return new Promise((resolve, reject) => {
    const typed = content === undefined ? headers : { ...headers, 'content-type': content.type }
    const send = origin.startsWith('http:') ? requestPlain : request
    const sent = send(new URL(path, origin), { method, ca, headers: typed }, async (answer) => {
      const said = await text(answer)
      const status = answer.statusCode ?? 0
      if (status >= 200 && status < 300) resolve({ headers: answer.headers })
      else reject(new Error(`${method} ${path} of ${origin}: ${status} ${said.slice(0, 300)}`))
    })
    sent.on('error', reject)
    sent.end(content?.body)
  })
}

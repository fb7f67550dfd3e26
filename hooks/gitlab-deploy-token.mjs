// Makes a new deploy token in GitLab, which chooses its name and secret itself, and ends the old one when its grace is over.
//   gitlab-deploy-token.mjs --url https://gitlab.example.com --project 42 --token-file /etc/regcredd/gitlab-token [--days 90]
// `--group ID` in place of `--project ID`. The file holds an access token with the scope `api` and at least the role of a maintainer.
// A token that was not made by this hook is left alone.
import { ask, demand, HookFailure, REFUSED, runHook, secretFrom, UNKNOWN } from './hook.mjs'

const DAY_MS = 86_400_000
const MAX_PAGES = 50
const nameOf = (rotation) => `regcredd ${rotation}`

await runHook(['url', 'project', 'group', 'token-file', 'days'], async (input, values) => {
  demand(values, 'url', 'token-file', values.group === undefined ? 'project' : 'group')
  if (!/^[1-9][0-9]{0,3}$/.test(values.days ?? '1')) throw new HookFailure(REFUSED, '--days must be a whole number')
  const owner = values.group === undefined ? `projects/${id(values.project)}` : `groups/${id(values.group)}`
  const tokens = new URL(`/api/v4/${owner}/deploy_tokens`, values.url)
  const headers = { 'private-token': secretFrom(values['token-file']), 'content-type': 'application/json' }
  if (input.action === 'retire') {
    await remove(tokens, headers, nameOf(input.madeBy))
    return
  }
  // What an earlier run of this rotation has made, and the daemon has not got to know.
  await remove(tokens, headers, nameOf(input.rotation))
  const expiry = values.days === undefined ? {} : { expires_at: new Date(Date.now() + values.days * DAY_MS).toISOString() }
  const body = JSON.stringify({ name: nameOf(input.rotation), scopes: ['read_registry'], ...expiry })
  const made = await (await ask(tokens, { isChange: true, method: 'POST', headers, body })).json()
  if (typeof made.token !== 'string') throw new HookFailure(UNKNOWN, 'GitLab made a token and did not tell it')
  return {
    secret: made.token,
    username: made.username,
    ...(typeof made.expires_at === 'string' ? { expiresAt: made.expires_at } : {}),
  }
})

async function remove(tokens, headers, name) {
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const listed = await (await ask(new URL(`?per_page=100&page=${page}`, tokens), { headers })).json()
    for (const token of listed.filter((one) => one.name === name)) {
      await ask(new URL(`${tokens.pathname}/${token.id}`, tokens), { isChange: true, method: 'DELETE', headers })
    }
    if (listed.length < 100) return
  }
}

function id(text) {
  if (!/^[0-9]+$/.test(text)) throw new HookFailure(REFUSED, 'a project or group is named by its number')
  return text
}

// Sets the password of a Harbor robot (Harbor 2.2 and later: PATCH /api/v2.0/robots/ID).
//   harbor-robot.mjs --url https://harbor.corp.example --robot 12 --login-file /etc/regcredd/harbor-login
// The file holds `user:password` of somebody who may update the robot.
import { ask, demand, HookFailure, REFUSED, runHook, secretFrom } from './hook.mjs'

await runHook(['url', 'robot', 'login-file'], async (input, values) => {
  // Harbor has one password for a robot: the old one ended when the new one was set.
  if (input.action === 'retire') return
  demand(values, 'url', 'robot', 'login-file')
  if (!/^[0-9]+$/.test(values.robot)) throw new HookFailure(REFUSED, '--robot must be the number of the robot')
  const robot = new URL(`/api/v2.0/robots/${values.robot}`, values.url)
  const authorization = `Basic ${Buffer.from(secretFrom(values['login-file'])).toString('base64')}`
  const { name } = await (await ask(robot, { headers: { authorization } })).json()
  if (name !== input.username) throw new HookFailure(REFUSED, `robot ${values.robot} has another name`)
  await ask(robot, {
    isChange: true,
    method: 'PATCH',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ secret: input.newSecret }),
  })
})

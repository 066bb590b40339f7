// Logs in to the four systems as a program does that uses the fetch of Node.js.
//
// Standard input has the address, the file with its CA, and two users, one value a line. The
// program prints a line of JSON for each step. NODE_EXTRA_CA_CERTS names the CA.
import { readFileSync } from 'node:fs'

const [url, , username, password, secondUsername, secondPassword] = readFileSync(0, 'utf8').split('\n')
const fields = { username, password }

// ask sends a request, and prints its status.
async function ask(step, method, path, { headers = {}, body } = {}) {
  const answer = await fetch(url + path, { method, headers, body })
  const text = await answer.text()
  const after = answer.headers.get('retry-after')
  console.log(JSON.stringify({ step, status: answer.status, ...(after && { retryAfter: Number(after) }) }))
  return { headers: answer.headers, json: () => JSON.parse(text) }
}

// cookiesOf returns the cookies that an answer sets: the fetch of Node.js keeps none.
const cookiesOf = (answer) => answer.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ')
const authorization = (scheme, credentials) => ({ authorization: `${scheme} ${credentials}` })
const bearer = (token) => authorization('Bearer', token)
const encode = (name, secret) => Buffer.from(`${name}:${secret}`, 'utf8').toString('base64')
const basic = authorization('Basic', encode(username, password))
const json = (value) => JSON.stringify(value)
const asJSON = { 'content-type': 'application/json' }

async function funnelback() {
  const login = await ask('funnelback: log in', 'POST', '/admin-api/account/v1/login?remember-me=true', { body: new URLSearchParams(fields) })
  const token = { 'x-security-token': login.headers.get('x-security-token') }
  await ask('funnelback: call with the token', 'GET', '/verify', { headers: token })
  const remembered = await ask('funnelback: log in, to be remembered by cookie', 'POST', '/admin-api/account/v1/login?remember-me=true', { body: new URLSearchParams(fields) })
  await ask('funnelback: call with the cookie alone', 'GET', '/verify', { headers: { cookie: cookiesOf(remembered) } })
  const tokens = '/admin-api/application-tokens/v1/application-token'
  const created = await ask('funnelback: create an application token', 'PUT', `${tokens}/report`, { headers: { ...basic, ...asJSON } })
  await ask('funnelback: create it again', 'PUT', `${tokens}/report`, { headers: { ...basic, ...asJSON } })
  await ask('funnelback: list application tokens', 'GET', tokens, { headers: token })
  const application = { 'x-security-token': created.json().data }
  await ask('funnelback: call with the application token', 'GET', '/verify', { headers: application })
  await ask('funnelback: delete the application token', 'DELETE', `${tokens}/report`, { headers: basic })
  await ask('funnelback: call with the deleted token', 'GET', '/verify', { headers: application })
}

async function squizDXP() {
  const crawler = '/application-tokens/v1/clients/acme/application-token/crawler'
  const created = await ask('squiz dxp: create a token of a client', 'PUT', crawler, { headers: { ...basic, ...asJSON }, body: json({ roles: ['client~primary'] }) })
  await ask('squiz dxp: call with the token', 'GET', '/verify', { headers: { 'x-security-token': created.json().data } })
  await ask('squiz dxp: delete the token', 'DELETE', crawler, { headers: basic })
}

async function teletracker() {
  const login = (await ask('teletracker: log in with a form', 'POST', '/auth/login', { body: new URLSearchParams(fields) })).json()
  await ask('teletracker: log in with JSON', 'POST', '/auth/login', { headers: asJSON, body: json(fields) })
  const parts = new FormData()
  Object.entries(fields).forEach(([name, value]) => parts.set(name, value))
  await ask('teletracker: log in with multipart', 'POST', '/auth/login', { body: parts })
  await ask('teletracker: call with the token', 'GET', '/verify', { headers: bearer(login.token) })
  await ask('an hour passes', 'POST', '/test/hour')
  await ask('teletracker: call with the expired token', 'GET', '/verify', { headers: bearer(login.token) })
  const renewed = (await ask('teletracker: refresh', 'POST', '/auth/refresh', { body: new URLSearchParams({ refresh_token: login.refreshToken }) })).json()
  await ask('teletracker: call with the new token', 'GET', '/verify', { headers: bearer(renewed.token) })
  await ask('teletracker: call with Basic', 'GET', '/verify', { headers: basic })
  const integrator = authorization('Integrator', encode(username, password))
  await ask('teletracker: Integrator at an account', 'POST', '/auth/login', { headers: integrator, body: new URLSearchParams({ account_id: 2002 }) })
  await ask('teletracker: Integrator without an account', 'POST', '/auth/login', { headers: integrator })
}

async function spectrum() {
  const opened = await ask('spectrum: get a session token', 'GET', '/security/rest/token/access/session/60', { headers: basic })
  const cookie = cookiesOf(opened)
  const token = bearer(opened.json().access_token)
  await ask('spectrum: call with the cookie', 'GET', '/verify', { headers: { ...token, cookie } })
  await ask('spectrum: call without the cookie', 'GET', '/verify', { headers: token })
  await ask('spectrum: log out', 'GET', '/security/rest/token/logout', { headers: { ...token, cookie } })
  await ask('spectrum: call after the logout', 'GET', '/verify', { headers: { ...token, cookie } })
  const open = await ask('spectrum: get an open token', 'GET', '/security/rest/token/access/60', { headers: basic })
  await ask('spectrum: call with the open token', 'GET', '/verify', { headers: bearer(open.json().access_token) })
  const letters = authorization('Basic', encode(secondUsername, secondPassword))
  await ask('spectrum: get an open token, with letters beyond ASCII', 'GET', '/security/rest/token/access/60', { headers: letters })
}

async function failures() {
  await ask('failures: a wrong password', 'GET', '/security/rest/token/access/5', { headers: authorization('Basic', encode(username, 'wrong')) })
  for (let attempt = 0; attempt < 11; attempt++) {
    await ask('failures: too many attempts', 'POST', '/auth/login', { body: new URLSearchParams({ username: secondUsername, password: 'wrong' }) })
  }
  await ask('an hour passes', 'POST', '/test/hour')
  await ask('failures: log in after the wait', 'POST', '/auth/login', { body: new URLSearchParams({ username: secondUsername, password: secondPassword }) })
}

await funnelback()
await squizDXP()
await teletracker()
await spectrum()
await failures()

import { BotFailure } from './failure.ts';
import type { Secrets } from './secrets.ts';

/**
 * The model router's base URL, once it is certain that patient data may go there.
 *
 * Allowed are the hosts of the secret LLM_PHI_ALLOWED_HOSTS (separated by commas, `host` or `host:port`);
 * without it, the router's own host when it is loopback, a private address or a bare service name.
 * @returns The URL without a slash at its end.
 * @throws BotFailure PHI_ROUTE_BLOCKED or NOT_CONFIGURED
 */
export function readRouterUrl(secrets: Secrets): string {
  const text = secrets.required('LLM_ROUTER_URL');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw notUsable('is no http or https URL');
  }
  if (url.username || url.password || url.search || url.hash) {
    throw notUsable('must hold no user, password, query or fragment');
  }
  const allowed = secrets
    .optional('LLM_PHI_ALLOWED_HOSTS')
    ?.toLowerCase()
    .split(',')
    .map((host) => host.trim());
  const permitted = allowed ? allowed.includes(url.hostname) || allowed.includes(url.host) : isInside(url.hostname);
  if (!permitted) {
    throw new BotFailure(
      'PHI_ROUTE_BLOCKED',
      `Patient data may not be sent to ${url.host}: it is ${
        allowed ? 'not among' : 'outside the private network, and there is no'
      } LLM_PHI_ALLOWED_HOSTS`,
      { host: url.host }
    );
  }
  return url.href.replace(/\/+$/, '');
}

/** Whether a host, as `URL` writes it, is loopback, a private address or a name without a dot. */
function isInside(hostname: string): boolean {
  if (hostname.startsWith('[')) {
    // ::1, unique local fc00::/7, link-local fe80::/10
    return /^\[(?:::1|f[cd][0-9a-f]{2}:.*|fe[89ab][0-9a-f]:.*)\]$/.test(hostname);
  }
  const address = /^(\d+)\.(\d+)\.\d+\.\d+$/.exec(hostname);
  if (address) {
    const [first, second] = [Number(address[1]), Number(address[2])];
    return (
      first === 127 ||
      first === 10 ||
      (first === 172 && second >= 16 && second <= 31) ||
      (first === 192 && second === 168)
    );
  }
  return !hostname.includes('.') || hostname.endsWith('.localhost');
}

function notUsable(why: string): BotFailure {
  return new BotFailure('NOT_CONFIGURED', `The project secret LLM_ROUTER_URL ${why}`, { secret: 'LLM_ROUTER_URL' });
}

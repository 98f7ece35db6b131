/** A run of a bot from start to its AuditEvent: rights, token, secrets, code. */
import type { WithId } from '@medplum/core';
import { createReference, resolveId } from '@medplum/core';
import type { Bot, Login, Project, ProjectMembership, ProjectSetting, Reference, Subscription } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { auditRun } from './audit.ts';
import { botsEnabled } from './deploy.ts';
import type { BotResult } from './vmContext.ts';
import { runInVmContext } from './vmContext.ts';

export interface RunRequest {
  readonly bot: WithId<Bot>;
  /** Whose rights the bot's client has. */
  readonly runAs: WithId<ProjectMembership>;
  readonly requester?: Reference;
  readonly input: unknown;
  readonly contentType: string;
  readonly subscription?: WithId<Subscription>;
  /** When the run was asked for, ISO 8601. */
  readonly requestTime?: string;
  readonly traceId?: string;
  readonly headers?: Record<string, string | string[] | undefined>;
  readonly defaultHeaders?: Record<string, string>;
}

export async function runBot(app: App, request: RunRequest): Promise<BotResult> {
  const start = request.requestTime ?? new Date().toISOString();
  const result = await outcomeOf(app, request);
  await auditRun(app, request, start, result);
  return result;
}

async function outcomeOf(app: App, request: RunRequest): Promise<BotResult> {
  const { bot, runAs } = request;
  if (!botsEnabled(app, bot)) {
    return { success: false, log: 'Bots not enabled' };
  }
  if (bot.runtimeVersion === 'awslambda' || bot.runtimeVersion === 'fission') {
    return { success: false, log: `Bot runtime ${bot.runtimeVersion} is not available on this server` };
  }
  if (bot.runtimeVersion !== 'vmcontext') {
    return { success: false, log: 'Unsupported bot runtime' };
  }
  const accessToken = await botToken(app, runAs);
  return runInVmContext(app, { ...request, accessToken, secrets: botSecrets(app, bot, runAs) });
}

/** A token with the rights of the membership. Its login is kept in memory only. */
async function botToken(app: App, runAs: WithId<ProjectMembership>): Promise<string> {
  const id = app.system.generateId();
  const now = new Date().toISOString();
  const login: WithId<Login> = {
    resourceType: 'Login',
    id,
    meta: { versionId: app.system.generateId(), lastUpdated: now, author: { reference: 'system' } },
    authMethod: 'execute',
    user: runAs.user as Login['user'],
    membership: createReference(runAs),
    authTime: now,
    scope: 'openid',
    granted: true,
  };
  app.store.put(
    {
      type: 'Login',
      id,
      versionId: login.meta?.versionId as string,
      lastUpdated: now,
      project: null,
      deleted: 0,
      json: JSON.stringify(login),
    },
    true
  );
  setTimeout(() => app.store.forget('Login', id), LOGIN_LIFETIME_MS).unref();
  const user = resolveId(runAs.user);
  return app.signer.token(
    { login_id: id, sub: user, username: user, profile: runAs.profile.reference, scope: 'openid' },
    '1h'
  );
}

const LOGIN_LIFETIME_MS = 3_600_000;

/** The project's secrets by name; those of the membership's project win. */
function botSecrets(app: App, bot: Bot, runAs: ProjectMembership): Record<string, ProjectSetting> {
  const projects = new Set([bot.meta?.project as string, resolveId(runAs.project) as string]);
  const secrets: Record<string, ProjectSetting> = {};
  for (const id of projects) {
    const project = app.system.readNow<Project>('Project', id);
    for (const secret of [...((bot.system && project.systemSecret) || []), ...(project.secret ?? [])]) {
      secrets[secret.name] = secret;
    }
  }
  return secrets;
}

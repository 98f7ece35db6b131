/** Making bots and giving them code. */
import type { WithId } from '@medplum/core';
import {
  allOk,
  badRequest,
  ContentType,
  createReference,
  created,
  forbidden,
  normalizeOperationOutcome,
  OperationOutcomeError,
} from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { AccessPolicy, Attachment, Bot, Project, ProjectMembership, Reference } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { createTextBinary } from '../fhir/binary.ts';
import { inputParameters } from '../fhir/operations/parameters.ts';
import type { Exchange } from '../http/exchange.ts';

export interface NewBot {
  readonly name: string;
  readonly description?: string;
  readonly accessPolicy?: Reference<AccessPolicy>;
  readonly runtimeVersion?: Bot['runtimeVersion'];
  readonly sourceCode?: Attachment;
  readonly executableCode?: Attachment;
}

const EMPTY_BOT = `import { BotEvent, MedplumClient } from '@medplum/core';

export async function handler(medplum: MedplumClient, event: BotEvent): Promise<unknown> {
  return undefined;
}
`;

/** Makes the Bot and its ProjectMembership; fields that are not among NewBot's are ignored. */
export async function createBot(x: Exchange, request: NewBot): Promise<WithId<Bot>> {
  const { repo, project } = x.authenticated();
  const sourceCode = await keepCode(
    x,
    request.sourceCode ?? {
      contentType: ContentType.TYPESCRIPT,
      title: 'index.ts',
      data: Buffer.from(EMPTY_BOT).toString('base64'),
    }
  );
  const executableCode = request.executableCode ? await keepCode(x, request.executableCode) : undefined;
  const bot = await repo.createResource<Bot>({
    resourceType: 'Bot',
    meta: { project: project.id },
    name: request.name,
    description: request.description,
    runtimeVersion: request.runtimeVersion ?? x.app.config.defaultBotRuntimeVersion,
    sourceCode,
    executableCode,
  });
  await x.app.system.createResource<ProjectMembership>({
    resourceType: 'ProjectMembership',
    meta: { project: project.id },
    project: createReference(project),
    user: createReference(bot),
    profile: createReference(bot),
    accessPolicy: request.accessPolicy,
  });
  if (executableCode) {
    await deployCode(x, x.app.system.readNow<Bot>('Bot', bot.id));
  }
  return bot;
}

/** An attachment that points at the code: an existing Binary, or one made of the data. */
async function keepCode(x: Exchange, { url, data, contentType, title }: Attachment): Promise<Attachment> {
  if (url) {
    if (!url.startsWith('Binary/')) {
      throw new OperationOutcomeError(badRequest('Invalid attachment: URL must start with Binary/'));
    }
    return { url, contentType, title };
  }
  if (!data) {
    throw new OperationOutcomeError(badRequest('Invalid attachment: Missing data or url'));
  }
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(data)) {
    throw new OperationOutcomeError(badRequest('Invalid attachment: Invalid base64 data'));
  }
  const type = contentType ?? ContentType.JAVASCRIPT;
  const filename = title ?? 'index.js';
  const binary = await createTextBinary(x, Buffer.from(data, 'base64').toString('utf8'), type, filename);
  return { contentType: type, title: filename, url: `Binary/${binary.id}` };
}

export async function initBot(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  if (!x.authenticated().membership.admin) {
    return [forbidden];
  }
  const input = inputParameters<NewBot>(request, {
    name: { type: 'string', required: true },
    description: { type: 'string' },
    accessPolicy: { type: 'Reference' },
    sourceCode: { type: 'Attachment' },
    executableCode: { type: 'Attachment' },
  });
  return [created, await createBot(x, input)];
}

export async function deploy(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const id = request.params.id as string;
  await x.authenticated().repo.readResource<Bot>('Bot', id);
  const bot = x.app.system.readNow<Bot>('Bot', id);
  const body = (request.body ?? {}) as { code?: string; filename?: string };
  try {
    await deployCode(x, bot, body.code, body.filename ?? 'index.js');
    return [allOk];
  } catch (err) {
    return [normalizeOperationOutcome(err)];
  }
}

async function deployCode(x: Exchange, bot: WithId<Bot>, code?: string, filename = 'index.js'): Promise<void> {
  const { repo } = x.authenticated();
  if (!code && !bot.executableCode?.url) {
    throw new OperationOutcomeError(badRequest('Bot missing executable code'));
  }
  if (!botsEnabled(x.app, bot)) {
    throw new OperationOutcomeError(badRequest('Bots not enabled'));
  }
  if (code) {
    const contentType = ContentType.JAVASCRIPT;
    const binary = await createTextBinary(x, code, contentType, filename);
    await repo.updateResource<Bot>({
      ...bot,
      executableCode: { contentType, url: `Binary/${binary.id}`, title: filename },
    });
  }
}

/** Whether the bot's project has the feature `bots`. */
export function botsEnabled(app: App, bot: Bot): boolean {
  const project = app.system.readNow<Project>('Project', bot.meta?.project as string);
  return Boolean(project.features?.includes('bots'));
}

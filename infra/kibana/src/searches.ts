import { type Search, search } from './objects.ts';
import { views } from './views.ts';

const trace = ['resource.attributes.service.name', 'name', 'kind', 'duration', 'status.code', 'attributes.error.type', 'parent_span_id'];
const change = [
  'attributes.biz.event_type',
  'attributes.biz.entity_type',
  'attributes.biz.entity_id',
  'attributes.biz.ownership_id',
  'trace_id',
];

/** In each the star stands for what is looked for: people put it in its place. */
export const searches: readonly Search[] = [
  {
    id: 'biz-trace',
    title: 'Trace: all spans of a request, by trace_id',
    description: 'Put the x-trace-id of an answer, the trace_id of a record, a problem or a log line in place of the star.',
    view: views.traces,
    query: 'trace_id : *',
    columns: trace,
    order: 'asc',
  },
  {
    id: 'biz-trace-logs',
    title: 'Trace: log lines of a request, by trace_id',
    description: 'What every process said about it, in order.',
    view: views.logs,
    query: 'trace_id : *',
    columns: ['resource.attributes.service.name', 'severity_text', 'body.text', 'attributes.code'],
    order: 'asc',
  },
  {
    id: 'biz-by-ownership',
    title: 'Changes: traces of an owner, by ownership_id',
    description: 'Each is an event of the owner that was published; its trace_id leads to the rest.',
    view: views.traces,
    query: 'attributes.biz.ownership_id : *',
    columns: change,
    order: 'desc',
  },
  {
    id: 'biz-by-entity',
    title: 'Changes: traces of an entity, by entity_id',
    description: 'Each is an event of the entity that was published; its trace_id leads to the rest.',
    view: views.traces,
    query: 'attributes.biz.entity_id : *',
    columns: change,
    order: 'desc',
  },
  {
    id: 'biz-failures',
    title: 'Failures: spans that ended in an error',
    description: 'Of every process; error.type is our code, or the class of what was thrown.',
    view: views.traces,
    query: 'status.code : "Error"',
    columns: ['resource.attributes.service.name', 'name', 'attributes.error.type', 'duration', 'trace_id'],
    order: 'desc',
  },
  {
    id: 'biz-security-events',
    title: 'Security events',
    description: 'Who and from where is sealed in the service itself; here are their ids.',
    view: views.security,
    query: '',
    columns: ['event_type', 'severity', 'success', 'action', 'resource', 'company_id', 'user_id', 'trace_id'],
    order: 'desc',
  },
];

export const searchObjects = searches.map(search);

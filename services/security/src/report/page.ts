import type { Report } from './data.ts';
import { type Html, html } from './html.ts';
import { type Locale, type Words, words } from './words.ts';

const style = html`<style>
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1f; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 2px solid #1b1b1f; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #ccc; overflow-wrap: anywhere; }
th { font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
small { color: #555; }
@media print { body { margin: 0; max-width: none; font-size: 10.5pt; } thead { display: table-header-group; } tr { break-inside: avoid; } h2 { break-after: avoid; } }
</style>`;

interface Voice {
  readonly say: Words;
  number(value: number): string;
  time(text: string): string;
  day(text: string): string;
  duration(seconds: number): string;
}

function voiceOf(locale: Locale): Voice {
  const numbers = new Intl.NumberFormat(locale);
  const times = new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC' });
  const days = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeZone: 'UTC' });
  return {
    say: words[locale],
    number: (value) => numbers.format(value),
    time: (text) => times.format(new Date(text)),
    day: (text) => days.format(new Date(`${text}T00:00:00Z`)),
    duration: (seconds) => {
      const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
      return [...(hours ? [`${numbers.format(hours)} h`] : []), ...(hours || minutes ? [`${minutes} min`] : []), `${seconds % 60} s`].join(
        ' ',
      );
    },
  };
}

/** One page with everything in it: no script, nothing loaded, fit for print. Every value is escaped. */
export function reportPage(report: Report, locale: Locale): string {
  const voice = voiceOf(locale);
  const { say } = voice;
  const page = html`<!doctype html>
<html lang="${locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${say.title}</title>
${style}
</head>
<body>
<header>
<h1>${say.title}</h1>
${about(report, voice)}
</header>
<main>
${loginPart(report, voice)}
${refusalPart(report, voice)}
${alertPart(report, voice)}
${readerPart(report, voice)}
${storagePart(report, voice)}
</main>
</body>
</html>
`;
  return page.text;
}

function about({ period, made_at, made_by, company_ids }: Report, { say, time }: Voice): Html {
  const companies = company_ids === null ? say.allCompanies : company_ids.join(', ') || say.noCompany;
  return html`<dl>
<dt>${say.period}</dt><dd>${time(period.from)} ${say.until} ${time(period.to)}</dd>
<dt>${say.companies}</dt><dd>${companies}</dd>
<dt>${say.made}</dt><dd>${time(made_at)} ${say.by} ${made_by}</dd>
</dl>
<p><small>${say.utc}</small></p>`;
}

function loginPart({ logins }: Report, { say, number, day }: Voice): Html {
  const rows = logins.by_day.map((one) => [day(one.day), number(one.successes), number(one.failures)]);
  const total = [say.total, number(logins.successes), number(logins.failures)];
  return section(say.logins, table([say.day, say.successes, say.failures], rows.length ? [...rows, total] : [], say, 2));
}

function refusalPart({ refusals }: Report, { say, number }: Voice): Html {
  const rows = refusals.map(({ event_type, severity, count }) => [event_type, severity, number(count)]);
  return section(say.refusals, table([say.what, say.severity, say.count], rows, say, 1));
}

function alertPart({ alerts }: Report, { say, number, duration }: Voice): Html {
  const rows = alerts.by_kind.map((one) => [one.kind, one.severity, number(one.opened), number(one.acknowledged)]);
  const times = alerts.answer_seconds;
  const answers = times
    ? html`<dt>${say.answerTimes}</dt><dd>${say.median} ${duration(times.median)}; ${say.p90} ${duration(times.p90)}; ${say.longest} ${duration(times.longest)}</dd>`
    : html``;
  return section(
    say.alerts,
    html`<dl><dt>${say.opened}</dt><dd>${number(alerts.opened)}</dd><dt>${say.acknowledged}</dt><dd>${number(alerts.acknowledged)}</dd><dt>${say.stillOpen}</dt><dd>${number(alerts.open)}</dd>${answers}</dl>
${table([say.what, say.severity, say.opened, say.acknowledged], rows, say, 2)}`,
  );
}

function readerPart({ personal_data }: Report, { say, number, time }: Voice): Html {
  const rows = personal_data.readers.map(({ user_id, resource, count, first_at, last_at }) => [
    ...[user_id ?? say.unknown, resource ?? say.unknown, time(first_at), time(last_at), number(count)],
  ]);
  const omitted = personal_data.readers_omitted ? html`<p>${say.omitted}: ${number(personal_data.readers_omitted)}</p>` : html``;
  return section(say.personalData, html`${table([say.who, say.route, say.first, say.last, say.count], rows, say, 1)}${omitted}`);
}

function storagePart({ storages }: Report, { say, number, time }: Voice): Html {
  const rows = storages.map(({ name, failing_since, queried, waiting }) => {
    const state = failing_since === null ? say.ok : `${say.failing} ${time(failing_since)}`;
    return [name, queried ? `${state}; ${say.queried}` : state, number(waiting)];
  });
  return section(say.storages, table([say.name, say.status, say.waiting], rows, say, 1));
}

function section(title: string, content: Html): Html {
  return html`<section><h2>${title}</h2>
${content}
</section>`;
}

/** The last `numbers` columns hold numbers. */
function table(heads: readonly string[], rows: readonly (readonly string[])[], say: Words, numbers: number): Html {
  if (rows.length === 0) return html`<p>${say.none}</p>`;
  const isNumber = (at: number) => at >= heads.length - numbers;
  const head = heads.map((text, at) => (isNumber(at) ? html`<th scope="col" class="n">${text}</th>` : html`<th scope="col">${text}</th>`));
  const body = rows.map((row) => {
    const cells = row.map((text, at) => (isNumber(at) ? html`<td class="n">${text}</td>` : html`<td>${text}</td>`));
    return html`<tr>${cells}</tr>\n`;
  });
  return html`<table><thead><tr>${head}</tr></thead><tbody>
${body}</tbody></table>`;
}

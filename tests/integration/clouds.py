"""
Audit events as the clouds export them: written from what is known of their formats, and sharing nothing with the router.

Google: classifiers/README.md names the sources of how an Event becomes a LogEntry. AWS: CloudWatch's log events, alone, in a
subscription's document, in the answer of filter-log-events, and behind their time in an export to S3. Azure: records of
diagnostic settings, alone and in a list.
"""
import json
import re

GROUPS_WITHOUT_DOT = ('apps', 'batch', 'extensions', 'autoscaling', 'policy')
CONTROL = re.compile(rb'[\x00-\x1f]')
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8}


def text(event):
    """A JSON string that holds these bytes: only what must be escaped is."""
    escaped = event.replace(b'\\', b'\\\\').replace(b'"', b'\\"')
    return b'"' + CONTROL.sub(lambda m: b'\\u%04x' % ord(m[0]), escaped) + b'"'


def eks(event):
    return b'{"timestamp":1700000000000,"message":' + text(event) + b',"ingestionTime":1700000000001}'


def eks_export(event):
    return b'2026-11-21T20:54:23.486Z ' + event


def eks_documents(events, of=20):
    for i in range(0, len(events), of):
        yield (b'{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/eks/c/cluster","logStream":"kube-apiserver-audit-1",'
               b'"subscriptionFilters":["all"],"logEvents":[' +
               b','.join(b'{"id":"%d","timestamp":1700000000000,"message":%s}' % (i, text(e)) for i, e in enumerate(events[i:i + of])) + b']}')


def eks_answers(events, of=20):
    for i in range(0, len(events), of):
        yield b'{"events": [' + b', '.join(b'{"logStreamName": "s", "timestamp": 1, "message": %s, "eventId": "1"}' % text(e)
                                           for e in events[i:i + of]) + b'], "searchedLogStreams": []}'


def aks(event):
    return (b'{ "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read", "category": "kube-audit", '
            b'"properties": {"log":' + text(event + b'\n') + b',"stream":"stdout","pod":"kube-apiserver-0"}, "time": "2026-11-21T20:54:23.0Z"}')


def aks_records(events, of=20):
    for i in range(0, len(events), of):
        yield b'{"records": [' + b', '.join(aks(e) for e in events[i:i + of]) + b']}'


def method(group, version, resource, subresource, verb):
    if not group:
        labels = 'io.k8s.core'
    elif '.' in group:
        labels = '.'.join(reversed(group.split('.')))
    else:
        labels = 'io.k8s.' + group
    return '.'.join(part for part in (labels, version, resource, subresource, verb) if part)


def resource_name(ref):
    parts = [ref.get('apiGroup') or 'core', ref.get('apiVersion', 'v1')]
    if ref.get('namespace') and ref['resource'] != 'namespaces':
        parts += ['namespaces', ref['namespace']]
    parts += [ref['resource'], ref.get('name'), ref.get('subresource')]
    return '/'.join(part for part in parts if part)


def body(value):
    """A body's @type; a JSON patch, which is no object, has to stand in one."""
    if isinstance(value, list):
        return {'@type': 'k8s.io/Patch', 'patch': value}
    if not isinstance(value, dict):
        return {'@type': 'k8s.io/Patch', 'value': value}
    kind, version = value.get('kind'), value.get('apiVersion', 'v1')
    group = version.split('/')[0] if '/' in version else 'core'
    return {'@type': f'{group if "." in group else group + ".k8s.io"}/{version.split("/")[-1]}.{kind}' if kind else 'k8s.io/Patch', **value}


def log_entry(event, log=None, split=None):
    """The LogEntry of an Event, as a dictionary."""
    ref, status = event.get('objectRef'), event.get('responseStatus', {})
    log = log or ('data_access' if event['verb'] in ('get', 'list', 'watch') else 'activity')
    payload = {
        '@type': 'type.googleapis.com/google.cloud.audit.AuditLog',
        'authenticationInfo': {'principalEmail': event['user']['username']} if event.get('user') else {},
        'methodName': method(ref.get('apiGroup'), ref.get('apiVersion', 'v1'), ref['resource'], ref.get('subresource'), event['verb'])
        if ref else 'io.k8s.' + event['verb'],
        'requestMetadata': {'callerIp': (event.get('sourceIPs') or [''])[0], 'callerSuppliedUserAgent': event.get('userAgent', '')},
        'resourceName': resource_name(ref) if ref else event.get('requestURI', '/').split('?')[0][1:],
        'serviceName': 'k8s.io',
        'status': {'code': CODES[status['code']], 'message': status.get('message', '')} if status.get('code') in CODES else {},
    }
    payload['authorizationInfo'] = [{'granted': True, 'permission': payload['methodName'], 'resource': payload['resourceName']}]
    for name, key in (('request', 'requestObject'), ('response', 'responseObject')):
        if key in event:
            payload[name] = body(event[key])
    entry = {
        'insertId': event['auditID'],
        'labels': event.get('annotations', {}),
        'logName': f'projects/p/logs/cloudaudit.googleapis.com%2F{log}',
        'operation': {'first': True, 'id': event['auditID'], 'last': True, 'producer': 'k8s.io'},
        'protoPayload': payload,
        'receiveTimestamp': '2026-11-21T21:02:00.123456789Z',
        'resource': {'labels': {'cluster_name': 'c', 'location': 'europe-west1', 'project_id': 'p'}, 'type': 'k8s_cluster'},
        'timestamp': event.get('requestReceivedTimestamp', '2026-11-21T21:01:59.952957Z'),
    }
    if split:
        uid, index, total = split
        entry.update(insertId=f'{entry["insertId"]}-{index}', split={'uid': uid, 'index': index, 'totalSplits': total})
    return entry


def line(entry):
    return json.dumps(entry, separators=(',', ':')).encode()

import hashlib

from django.conf import settings
from django.core.files.base import ContentFile
from django.http import HttpResponse
from django.shortcuts import render

from store import tasks
from store.models import Upload
from store.release import RELEASE


def front(request):
    key = hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest()[:8]
    page = render(
        request,
        "store/front.html",
        {"greeting": settings.GREETING, "uploads": Upload.objects.count(), "release": RELEASE, "key": key},
    )
    page["X-Release"] = RELEASE
    return page


def upload(request, name):
    body = request.body
    made = Upload(name=name, digest=hashlib.sha256(body).hexdigest())
    made.file.save(name, ContentFile(body))
    tasks.measure.delay(made.pk)
    answer = HttpResponse(made.digest, content_type="text/plain")
    answer["X-Release"] = RELEASE
    return answer

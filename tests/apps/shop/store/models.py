from django.db import models


class Upload(models.Model):
    name = models.CharField(max_length=100, unique=True)
    file = models.FileField()
    digest = models.CharField(max_length=64)
    # The release whose worker has measured it.
    measured_by = models.CharField(max_length=20, db_default="")


class Sweep(models.Model):
    release = models.CharField(max_length=20)
